package main

import "github.com/clientapps/clientapps/bench/report"

// aims returns the goals of the server, as ratios of figures of one run.
func (h *harness) aims() []report.Aim {
	return []report.Aim{
		ratio("GET: requests/s against hand", "get", "ours", "hand", rate, 1.3, false),
		ratio("GET: all CPU against hand", "get", "ours", "hand", report.AllCPU, 0.75, true),
		ratio("mixed: requests/s against hand", "mixed", "ours", "hand", rate, 2.2, false),
		ratio("mixed: requests/s against hand-coalesced", "mixed", "ours", "hand-coalesced", rate, 1.7, false),
		ratio("PATCH: requests/s against hand", "patch", "ours", "hand", rate, 1.9, false),
		ratio("PATCH: all CPU against hand", "patch", "ours", "hand", report.AllCPU, 0.44, true),
		ratio("PATCH: server CPU against hand-coalesced", "patch", "ours", "hand-coalesced", serverCPU, 1.1, true),
		ratio("PATCH: requests/s against fastify", "patch", "ours", "fastify", rate, 2.7, false),
		ratio("PATCH on SQLite, FULL: requests/s against pocketbase", "patch-sqlite", "ours-sqlite", "pocketbase", rate, 6.0, false),
		ratio("PATCH on SQLite, NORMAL: requests/s against pocketbase-normal",
			"patch-sqlite", "ours-sqlite-normal", "pocketbase-normal", rate, 5.0, false),
		{Name: "PATCH: all CPU against http and pgbench-32 together", AtMost: true, Bound: 2.0, Ratio: lowestCost},
		ratio("PATCH, one connection: p50 against hand", "patch-1", "ours", "hand", p50, 1.0, true),
		ratio("PATCH, fixed rate: p50 against hand", fixedRate, "ours", "hand", p50, 1.0, true),
		ratio("PATCH, fixed rate: p99 against hand", fixedRate, "ours", "hand", p99, 1.0, true),
		ratio("PATCH: server CPU against ours-unchecked", "patch-variants", "ours", "ours-unchecked", serverCPU, 1.05, true),
		ratio("PATCH: server CPU of ours-paths against ours", "patch-variants", "ours-paths", "ours", serverCPU, 1.05, true),
		ratio("PATCH: server CPU against ours-no-pgo", "patch-variants", "ours", "ours-no-pgo", serverCPU, 1.0, true),
		ratio("mixed: server CPU against ours-no-pgo", "mixed-variants", "ours", "ours-no-pgo", serverCPU, 1.0, true),
		ratio("bulk of 100: requests/s against hand", "bulk", "ours", "hand", rate, 1.0, false),
		ratio("bulk of 100: requests/s against fastify", "bulk", "ours", "fastify", rate, 1.1, false),
		ratio("bulk of 100: server CPU against hand", "bulk", "ours", "hand", serverCPU, 1.3, true),
		ratio("page of 50: requests/s against hand-joined", "list", "ours", "hand-joined", rate, 5.0, false),
		{Name: "page 200 against the first: all CPU", AtMost: true, Bound: 1.2, Ratio: deepPage},
		{Name: "memory under PATCH over 32 connections, MB", AtMost: true, Bound: 50, Ratio: memory},
		{Name: "start to ready on a migrated database, ms", AtMost: true, Bound: 200, Ratio: h.startTime},
		ratio("PATCH by client: requests/s against the default", "patch", "ours-by-client", "ours", rate, 0.6, false),
		ratio("PATCH on Citus: requests/s against by client", "patch", "ours-citus", "ours-by-client", rate, 0.5, false),
		ratio("PATCH on Citus: all CPU against by client", "patch", "ours-citus", "ours-by-client", report.AllCPU, 2.2, true),
		ratio("PATCH on Citus, by a worker: requests/s against by client", "patch", "ours-citus-worker", "ours-by-client", rate, 0.5, false),
		ratio("PATCH on Citus, by a worker: all CPU against by client", "patch", "ours-citus-worker", "ours-by-client", report.AllCPU, 2.2, true),
		ratio("PATCH: all CPU with more apps", "patch", "ours-large", "ours-small", report.AllCPU, 1.2, true),
		ratio("GET: all CPU with more apps", "get", "ours-large", "ours-small", report.AllCPU, 1.25, true),
		ratio("page of 50: all CPU with more apps", "list", "ours-large", "ours-small", report.AllCPU, 1.25, true),
		ratio("bulk of 100: all CPU with more apps", "bulk", "ours-large", "ours-small", report.AllCPU, 1.25, true),
		ratio("search: all CPU with more apps", "search", "ours-large", "ours-small", report.AllCPU, 1.25, true),
	}
}

func rate(s report.Sample) float64      { return s.Rate }
func p50(s report.Sample) float64       { return s.P50 }
func p99(s report.Sample) float64       { return s.P99 }
func serverCPU(s report.Sample) float64 { return s.ServerCPU }

type finder = func(workload, contender string) []report.Sample

func ratio(name, workload, ours, theirs string, of func(report.Sample) float64, bound float64, atMost bool) report.Aim {
	return report.Aim{Name: name, AtMost: atMost, Bound: bound, Ratio: func(find finder) report.Spread {
		return report.Ratio(find(workload, ours), find(workload, theirs), of)
	}}
}

// lowestCost compares with the lowest possible cost: an HTTP request, and one row's part of a statement that writes many rows.
func lowestCost(find finder) report.Spread {
	http, rows := find("patch", "http"), find("patch", "pgbench-32")
	floor := make([]report.Sample, min(len(http), len(rows)))
	for i := range floor {
		floor[i] = report.Sample{ServerCPU: http[i].ServerCPU, Database: rows[i].Database}
	}
	return report.Ratio(find("patch", "ours"), floor, report.AllCPU)
}

// deepPage compares page 200 with the first page. The two loads share rounds.
func deepPage(find finder) report.Spread {
	return report.Ratio(find("page-200", "ours"), find("page-1", "ours"), report.AllCPU)
}

// startTime returns the start time of our server in milliseconds. It does not depend on the loads.
func (h *harness) startTime(finder) report.Spread {
	if c := h.find("ours"); c != nil {
		return report.Single(float64(c.footprint.Ready.Microseconds()) / 1e3)
	}
	return report.Single(report.None())
}

func memory(find finder) report.Spread {
	return report.Over(find("patch", "ours"), func(s report.Sample) float64 { return s.Memory })
}
