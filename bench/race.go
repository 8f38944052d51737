package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/clientapps/clientapps/bench/machine"
	"github.com/clientapps/clientapps/bench/report"
)

// race runs every kind: in each round one slice of each contender, so that whatever else happens on the machine happens
// to all of them.
func (l *lab) race(ctx context.Context) (all []report.Kind, err error) {
	for _, k := range l.chosen() {
		out := report.Kind{Name: k.name, What: k.what}
		for _, name := range k.contenders {
			out.Series = append(out.Series, report.Series{Contender: name})
		}
		if err := l.checkpoint(ctx); err != nil {
			return all, err
		}
		for round := range l.slices + 1 { // the first one warms up
			for _, i := range order(len(k.contenders), round) {
				sample, err := l.measure(ctx, k, l.find(k.contenders[i]), round+1)
				if err != nil {
					return all, fmt.Errorf("%s of %s: %w", k.name, k.contenders[i], err)
				}
				if round > 0 {
					out.Series[i].Samples = append(out.Series[i].Samples, sample)
				}
			}
			slog.Info("measured", "load", k.name, "round", fmt.Sprintf("%d/%d", round, l.slices))
		}
		all = append(all, out)
	}
	return all, nil
}

// order lets another contender begin in each round, and turns the order about: nobody always follows the same one.
func order(n, round int) []int {
	turn := make([]int, n)
	for i := range turn {
		turn[i] = (i + round) % n
	}
	if round%2 == 1 {
		slices.Reverse(turn)
	}
	return turn
}

// measure runs one slice. The seed makes its requests others than those of the slices before.
func (l *lab) measure(ctx context.Context, k kind, c *contender, seed int) (report.Sample, error) {
	before, err := c.usage()
	if err != nil {
		return report.Sample{}, err
	}
	result, err := k.run(ctx, l, c, seed)
	if err != nil {
		return report.Sample{}, err
	}
	after, err := c.usage()
	if err != nil {
		return report.Sample{}, err
	}
	if c.process != nil {
		if err := c.process.TrimLog(); err != nil {
			return report.Sample{}, err
		}
	}
	perRequest := func(before, after *machine.Usage) float64 {
		if before == nil {
			return report.None()
		}
		return float64((after.CPU - before.CPU).Microseconds()) / float64(result.Requests)
	}
	milliseconds := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
	sample := report.Sample{
		Rate: result.Rate(), P50: milliseconds(result.P50), P99: milliseconds(result.P99),
		ServerCPU: perRequest(before.server, after.server), Database: perRequest(before.database, after.database),
		Memory: report.None(),
	}
	if after.server != nil {
		sample.Memory = float64(after.server.Resident) / 1e6
	}
	return sample, nil
}

// used is what the processes of a contender have used; nil for what it has not.
type used struct{ server, database *machine.Usage }

func (c *contender) usage() (u used, err error) {
	if c.process != nil {
		use, err := machine.UsageOf(c.process.PID())
		if err != nil {
			return u, err
		}
		u.server = &use
	}
	if c.db != nil {
		use, err := machine.UsageOf(c.db.PID())
		if err != nil {
			return u, err
		}
		u.database = &use
	}
	return u, nil
}

// checkpoint writes out what the kind before has left, so that it does not count for this one.
func (l *lab) checkpoint(ctx context.Context) error {
	if l.postgres == nil {
		return nil
	}
	db, err := pgx.Connect(ctx, l.postgres.URL)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close(ctx) }()
	_, err = db.Exec(ctx, "CHECKPOINT")
	return err
}
