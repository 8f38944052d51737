package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/clientapps/clientapps/server/schemas"
	"github.com/clientapps/clientapps/store"
)

func (p *process) clientCreateCommand() *cobra.Command {
	var name string
	c := p.command("create", "Create a client and print its id", ofDatabase, func(ctx context.Context, cfg Config, _ []string) error {
		return p.clientCreate(ctx, cfg, name)
	})
	c.Flags().StringVar(&name, "name", "", "the client's name, 1 to 200 characters")
	return c
}

func (p *process) clientCreate(ctx context.Context, cfg Config, name string) error {
	if err := schemas.CheckName("--name", name); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	return withSchema(ctx, cfg, func(s *store.Store) error {
		client, err := s.CreateClient(ctx, name)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(p.stdout, client.ID)
		return err
	})
}

func (p *process) clientListCommand() *cobra.Command {
	return p.command("list", "List the clients", ofDatabase, p.clientList)
}

func (p *process) clientList(ctx context.Context, cfg Config, _ []string) error {
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
