// Command soak breaks a server and its database for as long as it is told, while clients write, and prints what they were
// told beside what is there. It ends with 1 when a write was lost, or made although it was refused.
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
	"sync"
	"syscall"
	"time"

	"github.com/clientapps/clientapps/faults"
)

func main() {
	length := flag.Duration("for", 10*time.Minute, "how long to go on")
	out := flag.String("out", "LEDGER.md", "where the table is written")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the order of the faults")
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
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // the database's user has to pass through
		return err
	}
	slog.Info("soak", "for", length, "seed", seed, "logs", dir)
	program, err := faults.Build(ctx, dir)
	if err != nil {
		return err
	}
	stands := make([]*stand, 2)
	defer func() {
		for _, s := range stands {
			if s != nil {
				s.close()
			}
		}
	}()
	if stands[0], err = onPostgres(ctx, program, dir); err != nil {
		return err
	}
	if stands[1], err = onSQLite(ctx, program, dir); err != nil {
		return err
	}
	return run(ctx, stands, length, out, seed)
}

// run breaks all stands at once, and reports.
func run(ctx context.Context, stands []*stand, length time.Duration, out string, seed uint64) error {
	bounded, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	begun := time.Now()
	var running sync.WaitGroup
	errs := make([]error, len(stands))
	for i, s := range stands {
		running.Go(func() { errs[i] = s.run(bounded, rand.New(rand.NewPCG(seed, uint64(i)))) }) //nolint:gosec // to be repeated
	}
	running.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	columns := make([]faults.Column, len(stands))
	failed := false
	for i, s := range stands {
		var err error
		if columns[i], err = faults.NewColumn(ctx, s.title, s.ledger, s.lab.World, s.injector.Counts()); err != nil {
			return err
		}
		for _, problem := range append(columns[i].Comparison.Problems, s.ledger.Problems()...) {
			slog.Error(s.title, "problem", problem)
		}
		failed = failed || columns[i].Failed()
	}
	table := faults.Report(time.Since(begun), columns...)
	if _, err := fmt.Fprint(os.Stdout, table); err != nil {
		return err
	}
	if failed {
		return errors.New("clients were told what is not so")
	}
	return os.WriteFile(out, []byte(header+table), 0o644) //nolint:gosec // a page for everybody to read
}

const header = `# Ledger

What clients were told while everything was broken under them, and what the database had afterwards: written by ` + "`make soak`" + `,
which fails unless the last four rows are 0. The page on [faults](../docs/faults.md) says what each fault is.

`
