package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/clientapps/clientapps/store"
)

func (p *process) backupCommand() *cobra.Command {
	return p.command("backup FILE", "Copy an SQLite database to a new file, while servers use it", forDatabase, p.backup)
}

func (p *process) backup(ctx context.Context, cfg Config, args []string) error {
	if err := store.Backup(ctx, cfg.DatabaseURL, args[0]); err != nil {
		return err
	}
	_, err := fmt.Fprintf(p.stdout, "backed up to %s\n", args[0])
	return err
}
