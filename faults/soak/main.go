// Command soak injects faults into servers and databases for a given time while clients write. Then it compares the answers with the
// database, and prints a table. It exits with 1 when an acknowledged write is missing, or a refused one was made.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/clientapps/clientapps/faults"
)

func main() {
	length := flag.Duration("for", 10*time.Minute, "how long to run")
	out := flag.String("out", "LEDGER.md", "file for the table")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed of the order of the faults")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := soak(ctx, *length, *out, *seed)
	stop()
	if err != nil {
		slog.Error("soak", "seed", *seed, "error", err)
		os.Exit(1)
	}
}

func soak(ctx context.Context, length time.Duration, out string, seed uint64) (err error) {
	dir, err := os.MkdirTemp("", "clientapps-soak.")
	if err != nil {
		return err
	}
	defer func() {
		if err == nil {
			err = os.RemoveAll(dir)
		}
	}()
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // the database's user must be able to enter
		return err
	}
	slog.Info("soak", "for", length, "seed", seed, "logs", dir)
	program, err := faults.Build(ctx, dir)
	if err != nil {
		return err
	}
	targets := make([]*target, 2)
	defer func() {
		for _, t := range targets {
			if t != nil {
				t.close()
			}
		}
	}()
	if targets[0], err = onPostgres(ctx, program, dir); err != nil {
		return err
	}
	if targets[1], err = onSQLite(ctx, program, dir); err != nil {
		return err
	}
	return run(ctx, targets, length, out, seed)
}

// run injects faults into all targets at once, and writes the report.
func run(ctx context.Context, targets []*target, length time.Duration, out string, seed uint64) error {
	bounded, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	begun := time.Now()
	var running sync.WaitGroup
	errs := make([]error, len(targets))
	for i, t := range targets {
		running.Go(func() { errs[i] = t.run(bounded, rand.New(rand.NewPCG(seed, uint64(i)))) }) //nolint:gosec // reproducible
	}
	running.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	columns := make([]faults.Column, len(targets))
	failed := false
	for i, t := range targets {
		var err error
		if columns[i], err = faults.NewColumn(ctx, t.title, t.ledger, t.harness.Fixture, t.injector.Counts()); err != nil {
			return err
		}
		if columns[i].Feed, err = t.feed(ctx); err != nil {
			return err
		}
		columns[i].Receiver = t.receiver
		if columns[i].Webhook, err = t.receiver.Compare(ctx, t.harness.Fixture); err != nil {
			return err
		}
		for _, problem := range slices.Concat(columns[i].Comparison.Problems, t.ledger.Problems(), columns[i].Feed, columns[i].Webhook) {
			slog.Error(t.title, "problem", problem)
		}
		failed = failed || columns[i].Failed()
	}
	table := faults.Report(time.Since(begun), columns...)
	if _, err := fmt.Fprint(os.Stdout, table); err != nil {
		return err
	}
	if failed {
		return errors.New("answers contradict the database")
	}
	return os.WriteFile(out, []byte(header+table), 0o644) //nolint:gosec // a public page
}

const header = `# Ledger

The answers that clients got while faults were injected, compared with the database afterwards. Written by ` + "`make soak`" + `, which fails
unless the last six rows are 0. The page on [faults](../docs/faults.md) describes the faults.

`
