package main

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/clientapps/clientapps/bench/report"
)

// No contender always follows the same one, and each runs once per round.
func TestOrder(t *testing.T) {
	t.Parallel()
	const n = 5
	first, behind := map[int]bool{}, map[[2]int]bool{}
	for round := range n {
		turn := order(n, round)
		first[turn[0]] = true
		for i := 1; i < n; i++ {
			behind[[2]int{turn[i-1], turn[i]}] = true
		}
		slices.Sort(turn)
		if !slices.Equal(turn, []int{0, 1, 2, 3, 4}) {
			t.Errorf("round %d: not each contender once", round)
		}
	}
	if len(first) < 3 || len(behind) < 2*n {
		t.Errorf("too few different firsts (%v) or neighbors (%v)", first, behind)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	old := "flags of clientapps serve:\n  -addr value\n    \thost:port (default 127.0.0.1:8080)\n"
	if got := settings(old); got != nil {
		t.Errorf("a server without these settings got %v", got)
	}
	limited := old + "  -rate-limit value\n    \trequests a second\n  -rate-limits-file value\n"
	if got := settings(limited); !slices.Equal(got, []string{"--rate-limit", "100000"}) {
		t.Errorf("a server with a limit got %v", got)
	}
}

// A load without a contender would be missing in the tables without an error.
func TestWorkloadsNameContenders(t *testing.T) {
	t.Parallel()
	for _, w := range slices.Concat(workloads(), scaleWorkloads(), citusWorkloads()) {
		for _, name := range w.contenders {
			if legend[name] == "" {
				t.Errorf("%s: unknown contender %q", w.name, name)
			}
		}
	}
	for _, name := range contenderNames {
		if !slices.ContainsFunc(workloads(), func(w workload) bool { return slices.Contains(w.contenders, name) }) {
			t.Errorf("%s has no load", name)
		}
	}
}

// So would an aim for an unknown load or contender.
func TestAimsHaveFigures(t *testing.T) {
	t.Parallel()
	figures := func(wanted, contender string) (samples []report.Sample) {
		for _, w := range slices.Concat(workloads(), scaleWorkloads(), citusWorkloads()) {
			if w.name == wanted && slices.Contains(w.contenders, contender) {
				return []report.Sample{{Rate: 1, P50: 1, P99: 1, ServerCPU: 1, Database: 1, Memory: 1}}
			}
		}
		return nil
	}
	h := &harness{contenders: []*contender{{name: "ours"}}}
	for _, aim := range h.aims() {
		if math.IsNaN(aim.Ratio(figures).Median) {
			t.Errorf("%s: no figures", aim.Name)
		}
	}
}

func TestSlicing(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args   []string
		load   workload
		slices int
		length time.Duration
	}{
		{nil, workload{}, 8, 3 * time.Second},
		{nil, workload{slices: 16, slice: 5 * time.Second}, 16, 5 * time.Second},
		{[]string{"-slices", "2"}, workload{slices: 16, slice: 5 * time.Second}, 2, 5 * time.Second},
		{[]string{"-slice", "3s"}, workload{slices: 16, slice: 5 * time.Second}, 16, 3 * time.Second},
	} {
		o, err := parseOptions(test.args)
		if n, length := o.slicing(test.load); err != nil || n != test.slices || length != test.length {
			t.Errorf("%v: %d slices of %v, %v", test.args, n, length, err)
		}
	}
}
