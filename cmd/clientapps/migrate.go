package main

import (
	"context"
	"flag"
	"fmt"

	"github.com/clientapps/clientapps/store"
)

func migrateUp(ctx context.Context, p *process, args []string) error {
	return migrateWith(p, args, "clientapps migrate up", false, func(s *store.Store) error {
		if err := s.Migrate(ctx); err != nil {
			return err
		}
		return printSchemaVersion(ctx, p, s)
	})
}

func migrateStatus(ctx context.Context, p *process, args []string) error {
	return migrateWith(p, args, "clientapps migrate status", true, func(s *store.Store) error {
		return printSchemaVersion(ctx, p, s)
	})
}

func migrateWith(p *process, args []string, name string, mustExist bool, work func(*store.Store) error) error {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	cfg, err := loadConfig(p, flags, args)
	if err != nil {
		return err
	}
	return withStoreOf(store.Config{URL: cfg.DatabaseURL, MaxConns: 2, RowSecurity: cfg.RowSecurity, MustExist: mustExist}, work)
}

func printSchemaVersion(ctx context.Context, p *process, s *store.Store) error {
	have, want, err := s.SchemaVersion(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "schema version %d, this program needs %d\n", have, want)
	return err
}
