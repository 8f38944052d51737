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

// measureAll runs every workload. Each round has one slice of each contender, so that other activity on the machine affects all of them.
// Workloads of one group share their rounds.
func (h *harness) measureAll(ctx context.Context) (all []report.Workload, err error) {
	chosen := h.chosen()
	for len(chosen) > 0 {
		n := 1
		for n < len(chosen) && chosen[n].group != "" && chosen[n].group == chosen[0].group {
			n++
		}
		done, err := h.measureGroup(ctx, chosen[:n])
		all = append(all, done...)
		if err != nil {
			return all, err
		}
		chosen = chosen[n:]
	}
	return all, nil
}

// entry is a contender under one workload.
type entry struct{ workload, contender int }

func (h *harness) measureGroup(ctx context.Context, workloads []workload) ([]report.Workload, error) {
	var entries []entry
	out := make([]report.Workload, len(workloads))
	for i, w := range workloads {
		out[i] = report.Workload{Name: w.name, What: w.what}
		if n, length := h.slicing(w); n != h.slices || length != h.slice {
			out[i].What += fmt.Sprintf("; %d slices of %v", n, length)
		}
		for j, name := range w.contenders {
			out[i].Series = append(out[i].Series, report.Series{Contender: name})
			entries = append(entries, entry{i, j})
		}
	}
	if err := h.checkpoint(ctx); err != nil {
		return out, err
	}
	rounds, _ := h.slicing(workloads[0])
	for round := range rounds + 1 { // the first round warms up
		for _, n := range order(len(entries), round) {
			w, e := workloads[entries[n].workload], entries[n]
			name := w.contenders[e.contender]
			sample, err := h.measure(ctx, w, h.find(name))
			if err != nil {
				return out, fmt.Errorf("%s of %s: %w", w.name, name, err)
			}
			if series := &out[e.workload].Series[e.contender]; round > 0 {
				series.Samples = append(series.Samples, sample)
			}
		}
		slog.Info("measured", "load", workloads[0].name, "round", fmt.Sprintf("%d/%d", round, rounds))
	}
	return out, nil
}

// order starts each round with another contender and reverses every second round, so that none always follows the same one.
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

// nextSeed returns a new seed, so that no slice repeats the requests of an earlier one. A repeated patch would write nothing, and so cost
// almost nothing.
func (h *harness) nextSeed() int {
	h.seeds++
	return h.seeds
}

// measure runs one slice.
func (h *harness) measure(ctx context.Context, w workload, c *contender) (report.Sample, error) {
	before, err := c.usage()
	if err != nil {
		return report.Sample{}, err
	}
	once, seed := *h, h.nextSeed()
	_, once.slice = h.slicing(w)
	result, err := w.run(ctx, &once, c, seed)
	if err != nil {
		return report.Sample{}, err
	}
	after, err := c.usage()
	if err != nil {
		return report.Sample{}, err
	}
	if c.afterSlice != nil {
		if err := c.afterSlice(ctx); err != nil {
			return report.Sample{}, err
		}
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
		return float64((after.CPU - before.CPU).Microseconds()) / float64(result.Requests+result.Before)
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

// used has the resource usage of a contender's processes; nil for a process that it does not have.
type used struct{ server, database *machine.Usage }

func (c *contender) usage() (u used, err error) {
	if c.process != nil {
		use, err := machine.UsageOf(c.process.PID())
		if err != nil {
			return u, err
		}
		u.server = &use
	}
	for _, pid := range c.databases {
		use, err := machine.UsageOf(pid)
		if err != nil {
			return u, err
		}
		if u.database == nil {
			u.database = &machine.Usage{}
		}
		u.database.CPU += use.CPU
		u.database.Resident += use.Resident
	}
	return u, nil
}

// checkpoint writes PostgreSQL's dirty pages to disk, so that a workload does not pay for the previous one.
func (h *harness) checkpoint(ctx context.Context) error {
	if h.postgres == nil {
		return nil
	}
	db, err := pgx.Connect(ctx, h.postgres.URL)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close(ctx) }()
	_, err = db.Exec(ctx, "CHECKPOINT")
	return err
}
