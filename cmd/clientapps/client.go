package main

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/clientapps/clientapps/store"
)

func clientCreate(ctx context.Context, p *process, args []string) error {
	flags := flag.NewFlagSet("clientapps client create", flag.ContinueOnError)
	name := flags.String("name", "", "the client's name, 1 to 200 characters")
	cfg, err := loadConfig(p, flags, args)
	if err != nil {
		return err
	}
	if err := checkName(*name); err != nil {
		return err
	}
	return withStore(cfg, func(s *store.Store) error {
		client, err := s.CreateClient(ctx, *name)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(p.stdout, client.ID)
		return err
	})
}

func clientList(ctx context.Context, p *process, args []string) error {
	flags := flag.NewFlagSet("clientapps client list", flag.ContinueOnError)
	cfg, err := loadConfig(p, flags, args)
	if err != nil {
		return err
	}
	return withStore(cfg, func(s *store.Store) error {
		clients, err := s.AllClients(ctx)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
		for _, c := range clients {
			if _, err := fmt.Fprintf(w, "%s\t%s\t%s\n", c.ID, c.Status, c.Name); err != nil {
				return err
			}
		}
		return w.Flush()
	})
}

// checkName holds names given on the command line to the bounds of the contract.
func checkName(name string) error {
	control := func(r rune) bool { return r < ' ' || r == 0x7f }
	if strings.TrimSpace(name) == "" || utf8.RuneCountInString(name) > 200 || !utf8.ValidString(name) ||
		strings.Trim(name, " ") != name || strings.ContainsFunc(name, control) {
		return fmt.Errorf("%w: --name must have 1 to 200 characters, without control characters or spaces at the ends", errUsage)
	}
	return nil
}
