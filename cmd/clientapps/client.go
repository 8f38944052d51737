package main

import (
	"context"
	"flag"
	"fmt"
	"text/tabwriter"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/store"
)

func clientCreate(ctx context.Context, p *process, args []string) error {
	flags := flag.NewFlagSet("clientapps client create", flag.ContinueOnError)
	name := flags.String("name", "", "the client's name, 1 to 200 characters")
	cfg, err := loadConfig(p, flags, args)
	if err != nil {
		return err
	}
	if err := server.CheckName("--name", *name); err != nil {
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
