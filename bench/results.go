package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/clientapps/clientapps/bench/machine"
	"github.com/clientapps/clientapps/bench/report"
)

// results prints the tables and writes them to the file.
func (h *harness) results(ctx context.Context, workloads []report.Workload) error {
	text := h.document(ctx, workloads)
	if _, err := fmt.Print(text); err != nil {
		return err
	}
	if h.out == "none" {
		return nil
	}
	return os.WriteFile(h.out, []byte(text), 0o644) //nolint:gosec // a public page
}

func (h *harness) document(ctx context.Context, workloads []report.Workload) string {
	var out strings.Builder
	write := func(format string, args ...any) { fmt.Fprintf(&out, format, args...) }
	target := "bench"
	args := slices.Clone(h.args)
	if i := slices.Index(args, "-scale"); i >= 0 {
		target, args = "bench-scale", slices.Delete(args, i, i+1)
	}
	if i := slices.Index(args, "-citus"); i >= 0 {
		target, args = "bench-citus", slices.Delete(args, i, i+1)
	}
	command := "make " + target
	if len(args) > 0 {
		command += fmt.Sprintf(" ARGS=%q", strings.Join(args, " "))
	}
	write("# Results\n\nWritten by `%s` on %s.\n\n", command, time.Now().UTC().Format("2006-01-02"))
	write("- %d slices of %v of each contender under each load, in turn; %d connections unless said otherwise.\n",
		h.slices, h.slice, defaultConnections)
	if len(h.loaded) == 0 {
		write("- %d apps of %d clients, %d catalog apps.\n", h.size.Apps, h.size.Clients, h.size.Catalog)
	}
	for _, loaded := range h.loaded {
		write("- %s.\n", loaded)
	}
	write("- %s, shared by load, servers and databases; load average before the run %s. One flush of 8 KiB to the disk takes %v.\n",
		machine.System(), h.loadAverage, h.flushTime.Round(time.Microsecond))
	if h.settings != "" {
		write("- PostgreSQL's default settings, except for the number of connections: %s.\n", h.settings)
	}
	write("- %s.\n\n", strings.Join(h.versions(ctx), ", "))
	write("Medians of the slices. In parentheses: the first contender's figure divided by this one's, as the median over the rounds, " +
		"and the quartiles of the rounds where they differ from it. CPU is per request.\n\n")
	out.WriteString(report.Table(workloads))
	for _, line := range h.tooSlow(workloads) {
		write("\n%s\n", line)
	}
	if table := report.AimTable(h.aims(), workloads); table != "" {
		write("\n## Aims\n\n%s", table)
	}
	if notes, err := os.ReadFile(h.notes()); err == nil { //nolint:gosec // our own file; optional
		write("\n%s", notes)
	}
	var footprints []report.Footprint
	for _, c := range h.contenders {
		if c.process != nil {
			footprints = append(footprints, c.footprint)
		}
	}
	if len(footprints) > 0 {
		write("\n## Footprint\n\nBefore the first load, on a loaded database; the median of %d starts.\n\n%s",
			startCount, report.FootprintTable(footprints))
	}
	write("\n## Loads\n\n")
	for _, w := range workloads {
		write("- `%s`: %s.\n", w.Name, w.What)
	}
	write("\n## Contenders\n\n")
	for _, c := range h.contenders {
		what, ok := legend[c.name]
		if !ok {
			what = "another checkout of this server"
		}
		write("- `%s`: %s.\n", c.name, what)
	}
	return out.String()
}

// tooSlow names contenders that could not keep the fixed rate. Their times are those of a growing queue.
func (h *harness) tooSlow(workloads []report.Workload) (lines []string) {
	for _, w := range workloads {
		for _, s := range w.Series {
			if kept := report.Median(s.Samples, rate); w.Name == fixedRate && kept < 0.99*float64(h.rate) {
				lines = append(lines, fmt.Sprintf("**%s answered %.0f of %d requests/s. Its times are those of a growing queue, so their ratios mean nothing.**",
					s.Contender, kept, h.rate))
			}
		}
	}
	return lines
}

// notes is a hand-written file with the reasons for missed aims. A run copies it into its results.
func (h *harness) notes() string {
	if h.scale {
		return "NOTES-SCALE.md"
	}
	if h.citus {
		return "NOTES-CITUS.md"
	}
	return "NOTES.md"
}

// versions returns the versions of all programs in the run.
func (h *harness) versions(ctx context.Context) []string {
	output := func(name string, args ...string) string {
		out, _ := exec.CommandContext(ctx, name, args...).Output() //nolint:gosec // constant arguments; on an error there is no version
		line, _, _ := strings.Cut(string(out), "\n")
		return strings.TrimSpace(line)
	}
	versions := []string{"clientapps " + output("git", "-C", h.product, "describe", "--always", "--dirty"), runtime.Version()}
	if h.postgres != nil {
		versions = append(versions, "PostgreSQL "+h.postgres.Version)
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			switch module.Path {
			case "github.com/jackc/pgx/v5", "github.com/tsenart/vegeta/v12":
				versions = append(versions, filepath.Base(filepath.Dir(module.Path))+" "+module.Version)
			}
		}
	}
	if h.find("fastify") != nil {
		var pack struct{ Dependencies map[string]string }
		text, _ := os.ReadFile("package.json") // on an error there is no version
		_ = json.Unmarshal(text, &pack)
		versions = append(versions, "Node.js "+output("node", "--version"),
			"Fastify "+pack.Dependencies["fastify"], "postgres.js "+pack.Dependencies["postgres"])
	}
	if h.find("pocketbase") != nil {
		versions = append(versions, "PocketBase "+output("go", "list", "-m", "-f", "{{.Version}}",
			"github.com/pocketbase/pocketbase"))
	}
	if words := strings.Fields(output("wrk", "--version")); len(words) > 1 {
		versions = append(versions, "wrk "+words[1])
	}
	return versions
}
