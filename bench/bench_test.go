package main

import (
	"math"
	"slices"
	"testing"

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
	for _, k := range append(workloads(), scaleWorkloads()...) {
		for _, name := range k.contenders {
			if legend[name] == "" {
				t.Errorf("%s: unknown contender %q", k.name, name)
			}
		}
	}
	for _, name := range contenderNames {
		if !slices.ContainsFunc(workloads(), func(k workload) bool { return slices.Contains(k.contenders, name) }) {
			t.Errorf("%s has no load", name)
		}
	}
}

// So would an aim for an unknown load or contender.
func TestAimsHaveFigures(t *testing.T) {
	t.Parallel()
	figures := func(wanted, contender string) (samples []report.Sample) {
		for _, k := range append(workloads(), scaleWorkloads()...) {
			if k.name == wanted && slices.Contains(k.contenders, contender) {
				return []report.Sample{{Rate: 1, P50: 1, P99: 1, ServerCPU: 1, Database: 1, Memory: 1}}
			}
		}
		return nil
	}
	l := &harness{contenders: []*contender{{name: "ours"}}}
	for _, aim := range l.aims() {
		if math.IsNaN(aim.Ratio(figures)) {
			t.Errorf("%s: no figures", aim.Name)
		}
	}
}
