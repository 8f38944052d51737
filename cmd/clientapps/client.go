package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/clientapps/clientapps/server/schemas"
	"github.com/clientapps/clientapps/store"
)

func (p *process) clientCreateCommand() *cobra.Command {
	var name string
	c := p.command("create", "Create a client and print its id", forDatabase, func(ctx context.Context, cfg Config, _ []string) error {
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
		client, err := s.CreateClient(ctx, uuid.New(), name, commandActor("client"))
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(p.stdout, client.ID)
		return err
	})
}

func (p *process) clientListCommand() *cobra.Command {
	return p.command("list", "List the clients", forDatabase, p.clientList)
}

func (p *process) clientList(ctx context.Context, cfg Config, _ []string) error {
	return withSchema(ctx, cfg, func(s *store.Store) error {
		clients, err := s.AllClients(ctx)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
		for _, c := range clients {
			status := c.Status
			if c.DeletingSince != nil {
				status = "deleting"
			}
			if _, err := fmt.Fprintf(w, "%s\t%s\t%s\n", c.ID, status, c.Name); err != nil {
				return err
			}
		}
		return w.Flush()
	})
}

func (p *process) clientSuspendCommand() *cobra.Command {
	return p.command("suspend ID", "Suspend a client: writes to its apps are refused", forDatabase, p.clientStatus(store.StatusSuspended))
}

func (p *process) clientActivateCommand() *cobra.Command {
	return p.command("activate ID", "Activate a client that is suspended", forDatabase, p.clientStatus(store.StatusActive))
}

// clientStatus returns the command that sets the status of a client.
func (p *process) clientStatus(status string) func(ctx context.Context, cfg Config, args []string) error {
	return func(ctx context.Context, cfg Config, args []string) error {
		id, err := idArgument(args)
		if err != nil {
			return err
		}
		return withSchema(ctx, cfg, func(s *store.Store) error {
			_, err := s.UpdateClient(ctx, id, store.Fields{store.ColumnStatus: status}, commandActor("client"), nil)
			return err
		})
	}
}

func (p *process) clientDeleteCommand() *cobra.Command {
	return p.command("delete ID", "Delete a suspended client, with its apps and their history, for good", forDatabase, p.clientDelete)
}

// clientDelete returns when nothing of the client is left. What it leaves when it is interrupted, a server erases.
func (p *process) clientDelete(ctx context.Context, cfg Config, args []string) error {
	id, err := idArgument(args)
	if err != nil {
		return err
	}
	return withSchema(ctx, cfg, func(s *store.Store) error {
		deleted, err := s.DeleteClient(ctx, id, commandActor("client"), nil)
		if !deleted && err == nil {
			err = s.FinishDeletion(ctx, id)
		}
		return err
	})
}

// idArgument returns the id that is a command's only argument.
func idArgument(args []string) (uuid.UUID, error) {
	id, err := uuid.Parse(args[0])
	if err != nil {
		return uuid.Nil, fmt.Errorf("%w: %s is not a UUID", errUsage, args[0])
	}
	return id, nil
}
