package main

import (
	"context"
	"flag"
	"fmt"

	"github.com/clientapps/clientapps/store"
)

// backup copies an SQLite database to a file, while servers use it.
func backup(ctx context.Context, p *process, args []string) error {
	flags := flag.NewFlagSet("clientapps backup", flag.ContinueOnError)
	cfg, err := loadConfig(p, flags, args, "FILE")
	if err != nil {
		return err
	}
	file := flags.Arg(0)
	if err := store.Backup(ctx, cfg.DatabaseURL, file); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "backed up to %s\n", file)
	return err
}
