package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/clientapps/clientapps/store"
)

func (p *process) migrateUpCommand() *cobra.Command {
	return p.command("up", "Migrate the schema to this program's version", forDatabase, func(ctx context.Context, cfg Config, _ []string) error {
		return withConfiguredStore(store.Config{URL: cfg.DatabaseURL, MaxConns: 2, RowLevelSecurity: cfg.RowLevelSecurity}, func(s *store.Store) error {
			if err := s.Migrate(ctx); err != nil {
				return err
			}
			return printSchemaVersion(ctx, p, s)
		})
	})
}

func (p *process) migrateStatusCommand() *cobra.Command {
	return p.command("status", "Show the version of the schema, and the version that this program needs", forDatabase, func(ctx context.Context, cfg Config, _ []string) error {
		return withStore(cfg, func(s *store.Store) error { return printSchemaVersion(ctx, p, s) })
	})
}

func printSchemaVersion(ctx context.Context, p *process, s *store.Store) error {
	have, want, err := s.SchemaVersion(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "schema version %d, this program needs %d\n", have, want)
	return err
}
