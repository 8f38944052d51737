package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/clientapps/clientapps/store"
)

// minHistory is the least that pruning leaves of the history.
const minHistory = 24 * time.Hour

func (p *process) historyPruneCommand() *cobra.Command {
	var olderThan string
	var dryRun, force bool
	c := p.command("prune", "Delete the changes of apps, clients and the catalog that are older than a time; cursors from before it expire",
		forDatabase, func(ctx context.Context, cfg Config, _ []string) error {
			return p.historyPrune(ctx, cfg, olderThan, store.PruneOptions{DryRun: dryRun, Force: force})
		})
	c.Flags().StringVar(&olderThan, "older-than", "", "how long changes are kept, such as 400d or 9600h, at least 1d")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "count the changes, and delete none")
	c.Flags().BoolVar(&force, "force", false, "also delete what webhooks have not delivered yet")
	return c
}

func (p *process) historyPrune(ctx context.Context, cfg Config, text string, o store.PruneOptions) error {
	olderThan, err := parseAge(text)
	if err != nil {
		return fmt.Errorf("%w: --older-than: %w", errUsage, err)
	}
	return withSchema(ctx, cfg, func(s *store.Store) error {
		bar := newProgress(p.stderr)
		defer bar.clear()
		o.Progress = func(deleted int) { bar.show("deleting", int64(deleted), 0) }
		pruned, err := s.PruneHistory(ctx, olderThan, o)
		bar.clear()
		if err != nil {
			return err
		}
		summary := fmt.Sprintf("deleted %d changes of apps and clients, %d of the catalog", pruned.Changes, pruned.CatalogChanges)
		if o.DryRun {
			summary = fmt.Sprintf("%d changes of apps and clients, %d of the catalog; dry run: nothing was deleted", pruned.Changes, pruned.CatalogChanges)
		}
		if pruned.HeldBack > 0 {
			summary += fmt.Sprintf("\n%d webhooks hold it back, since they have not delivered all that is so old: see --force", pruned.HeldBack)
		}
		_, err = fmt.Fprintln(p.stdout, summary)
		return err
	})
}

// parseAge reads an age in days (400d) or as a Go duration (9600h).
func parseAge(text string) (time.Duration, error) {
	age, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		age = time.Duration(n) * 24 * time.Hour
	}
	switch {
	case text == "":
		return 0, errors.New("how old is needed, such as 400d")
	case err != nil:
		return 0, fmt.Errorf("%q is neither days, such as 400d, nor a duration, such as 9600h", text)
	case age < minHistory:
		return 0, errors.New("it must be at least 1d")
	}
	return age, nil
}

func (p *process) historyRenewCommand() *cobra.Command {
	return p.command("renew", "Make all cursors of change feeds expire, after a restore that a server cannot notice", forDatabase,
		func(ctx context.Context, cfg Config, _ []string) error {
			return withSchema(ctx, cfg, func(s *store.Store) error {
				if err := s.RenewHistory(ctx); err != nil {
					return err
				}
				_, err := fmt.Fprintln(p.stdout, "all cursors of change feeds have expired")
				return err
			})
		})
}
