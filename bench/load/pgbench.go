package load

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clientapps/clientapps/bench/dataset"
)

// Pgbench sends the statement of a patch without a server, with one commit per row or one for many rows.
type Pgbench struct {
	Program string
	URL     string
	Rows    int // per statement and commit
	Size    dataset.Size
}

// Run sends the next statement as soon as the previous one is answered. Each row counts as a request.
func (b Pgbench) Run(ctx context.Context, dir string, connections int, slice time.Duration) (Result, error) {
	work, err := os.MkdirTemp(dir, "pgbench")
	if err != nil {
		return Result{}, err
	}
	defer func() { _ = os.RemoveAll(work) }()
	args := []string{
		"--no-vacuum", "--protocol=prepared", "--client=" + strconv.Itoa(connections), "--jobs=1", "--time=" + seconds(slice),
		"--log", "--log-prefix=" + filepath.Join(work, "log"),
	}
	for i, script := range b.scripts() {
		name := filepath.Join(work, fmt.Sprintf("%d.sql", i))
		if err := os.WriteFile(name, []byte(script.text), 0o600); err != nil {
			return Result{}, err
		}
		args = append(args, fmt.Sprintf("--file=%s@%d", name, script.weight))
	}
	out, err := exec.CommandContext(ctx, b.Program, append(args, b.URL)...).CombinedOutput() //nolint:gosec // ours
	if err != nil || strings.Contains(string(out), "aborted") {
		return Result{}, fmt.Errorf("pgbench: %w\n%s", err, out)
	}
	times, err := readTimes(work)
	if err != nil || len(times) == 0 {
		return Result{}, fmt.Errorf("pgbench: no times: %w\n%s", err, out)
	}
	// The rate excludes the time for connecting.
	var tps float64
	if _, line, ok := strings.Cut(string(out), "\ntps = "); ok {
		_, err = fmt.Sscan(line, &tps)
	}
	if err != nil || tps <= 0 {
		return Result{}, fmt.Errorf("pgbench: no rate: %w\n%s", err, out)
	}
	slices.Sort(times)
	return Result{
		Requests: len(times) * b.Rows, Took: time.Duration(float64(len(times)) / tps * float64(time.Second)),
		P50: percentile(times, 50), P99: percentile(times, 99),
	}, nil
}

// readTimes reads pgbench's logs: client, transaction, microseconds and more.
func readTimes(dir string) (times []time.Duration, err error) {
	names, err := filepath.Glob(filepath.Join(dir, "log.*"))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		file, err := os.Open(name) //nolint:gosec // found above
		if err != nil {
			return nil, err
		}
		for lines := bufio.NewScanner(file); lines.Scan(); {
			var client, transaction, us int
			if _, err := fmt.Sscan(lines.Text(), &client, &transaction, &us); err == nil {
				times = append(times, time.Duration(us)*time.Microsecond)
			}
		}
		if err := file.Close(); err != nil {
			return nil, err
		}
	}
	return times, nil
}

type script struct {
	weight int
	text   string
}

// scripts returns the patches of patchForms as SQL, one script for each form.
func (b Pgbench) scripts() []script {
	var out []script
	for _, form := range patchForms {
		if b.Rows == 1 {
			out = append(out, script{form.weight, b.drawRandom("") + oneRow(form)})
		}
	}
	if b.Rows > 1 {
		out = append(out, script{1, b.manyRows()})
	}
	return out
}

// drawRandom returns pgbench commands that choose a random app and a random count.
func (b Pgbench) drawRandom(suffix string) string {
	return fmt.Sprintf("\\set n%[1]s random(0, %[2]d)\n\\set app%[1]s :n%[1]s * %[3]d %% 4294967296\n"+
		"\\set client%[1]s :n%[1]s %% %[4]d * %[3]d %% 4294967296\n\\set count%[1]s random(100000, 999999)\n",
		suffix, b.Size.Spread()-1, dataset.Scatter, b.Size.Ordinary())
}

// idSQL returns SQL that computes an id like package dataset.
func idSQL(variable, suffix string) string {
	return "(lpad(to_hex(:" + variable + "::bigint), 8, '0') || '" + suffix + "')::uuid"
}

// writtenColumns has the columns that every patch sets besides its fields.
const writtenColumns = "actor_id = '00000000-0000-4000-8000-000000000000', actor_name = 'pgbench', request_id = 'pgbench', " +
	"updated_at = date_trunc('milliseconds', now()), version = apps.version + 1"

// returnedColumns has the columns that an answer needs.
const returnedColumns = "catalog_app_id, is_favorite, is_approved, license_count, version, created_at"

func oneRow(form patchForm) string {
	var set, differs []string
	for _, field := range form.fields {
		value := field.sql
		set = append(set, field.name+" = "+value)
		differs = append(differs, field.name+" IS DISTINCT FROM "+value)
	}
	return "UPDATE apps SET " + strings.Join(set, ", ") + ", " + writtenColumns +
		" WHERE client_id = " + idSQL("client", dataset.SuffixClient) + " AND id = " + idSQL("app", dataset.SuffixApp) +
		" AND (" + strings.Join(differs, " OR ") + ") RETURNING " + returnedColumns + ";\n"
}

// manyRows only sets the count. Its rows are not ordered, so two such statements may deadlock: use one connection.
func (b Pgbench) manyRows() string {
	var draws strings.Builder
	rows := make([]string, b.Rows)
	for i := range rows {
		suffix := strconv.Itoa(i)
		draws.WriteString(b.drawRandom(suffix))
		rows[i] = fmt.Sprintf("(%s, %s, :count%s::int)",
			idSQL("client"+suffix, dataset.SuffixClient), idSQL("app"+suffix, dataset.SuffixApp), suffix)
	}
	return draws.String() + "UPDATE apps SET license_count = v.count, " + writtenColumns + " FROM (VALUES " + strings.Join(rows, ", ") +
		") AS v (client_id, id, count) WHERE apps.client_id = v.client_id AND apps.id = v.id" +
		" AND license_count IS DISTINCT FROM v.count RETURNING apps.id, " + returnedColumns + ";\n"
}
