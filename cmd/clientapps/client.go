package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"regexp"
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
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	return withSchema(ctx, cfg, func(s *store.Store) error {
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
	return withSchema(ctx, cfg, func(s *store.Store) error {
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

// namePattern is that of the names in the contract.
var namePattern = regexp.MustCompile(`^[^ \x00-\x1F\x7F-\xA0\x{1680}\x{2000}-\x{200A}\x{2028}-\x{202F}\x{205F}\x{2066}-\x{2069}\x{3000}]` +
	`([^\x00-\x1F\x7F-\x9F\x{202A}-\x{202E}\x{2066}-\x{2069}]*[^ \x00-\x1F\x7F-\xA0\x{1680}\x{2000}-\x{200A}\x{2028}-\x{202F}\x{205F}\x{2066}-\x{2069}\x{3000}])?$`)

// checkName holds names given on the command line to the bounds of the contract.
func checkName(name string) error {
	if utf8.RuneCountInString(name) > 200 || !utf8.ValidString(name) || !namePattern.MatchString(name) {
		return errors.New("--name must be 1 to 200 characters long, without control characters, changes of direction or white space at the ends")
	}
	return nil
}
