package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/clientapps/clientapps/bench/dataset"
	"github.com/clientapps/clientapps/bench/machine"
)

// harness has the directory, the PostgreSQL server and the contenders of a benchmark.
type harness struct {
	options

	dir        string
	busy       string        // the load average before anything was started
	flush      time.Duration // time to flush one page to the disk
	settings   string        // PostgreSQL's settings for durability
	postgres   *machine.Postgres
	contenders []*contender
	loaded     []string // contents of the databases, and the time to load them
	seeds      int      // seeds used by slices so far
	stops      []func() // last in, first out
}

func newHarness(ctx context.Context, o options) (l *harness, err error) {
	if err := errors.Join(
		machine.Need(ctx, "wrk", "wrk"), machine.NeedPostgres(ctx), needNode(ctx, o),
	); err != nil {
		return nil, err
	}
	l = &harness{options: o, busy: machine.LoadAverage()}
	if l.dir, err = os.MkdirTemp(o.dir, "clientapps-bench."); err != nil {
		return nil, err
	}
	l.stops = append(l.stops, func() { _ = os.RemoveAll(l.dir) })
	if err := l.checkDisk(); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// checkDisk refuses a directory in memory, where nothing is durable.
func (l *harness) checkDisk() error {
	if err := os.Chmod(l.dir, 0o711); err != nil { //nolint:gosec // the database's user must be able to enter
		return err
	}
	onDisk, err := machine.OnDisk(l.dir)
	if err != nil {
		return err
	}
	if !onDisk {
		return fmt.Errorf("%s is in memory: nothing is durable there; give -dir", l.dir)
	}
	l.flush, err = machine.Flush(l.dir)
	return err
}

func needNode(ctx context.Context, o options) error {
	if !o.wants("fastify") || o.scale || o.citus || o.profile != "" {
		return nil
	}
	return errors.Join(machine.Need(ctx, "node", "nodejs"), machine.Need(ctx, "npm", "npm"))
}

// close stops all processes and removes all files.
func (l *harness) close() {
	for _, stop := range slices.Backward(l.stops) {
		stop()
	}
	l.stops = nil
}

// start builds, loads and starts everything that this run needs.
func (l *harness) start(ctx context.Context) error {
	if err := l.buildOurs(ctx); err != nil {
		return err
	}
	if l.needsPostgres() {
		if err := l.startPostgres(ctx); err != nil {
			return err
		}
	}
	return l.startContenders(ctx)
}

func (l *harness) startPostgres(ctx context.Context) (err error) {
	dir := filepath.Join(l.dir, "postgres")
	if err := os.Mkdir(dir, 0o700); err != nil { //nolint:gosec // where the options say
		return err
	}
	slog.Info("starting PostgreSQL")
	if l.postgres, err = machine.StartPostgres(ctx, dir); err != nil {
		return err
	}
	l.stops = append(l.stops, l.postgres.Stop)
	return l.readSettings(ctx)
}

// readSettings reads PostgreSQL's settings, and refuses those that make writes not durable.
func (l *harness) readSettings(ctx context.Context) error {
	db, err := pgx.Connect(ctx, l.postgres.URL)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close(ctx) }()
	var found []string
	for _, name := range []string{"fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "shared_buffers"} {
		var value string
		if err := db.QueryRow(ctx, "SHOW "+name).Scan(&value); err != nil {
			return err
		}
		if value == "off" {
			return fmt.Errorf("PostgreSQL's %s is off: nothing is durable", name)
		}
		found = append(found, name+" "+value)
	}
	l.settings = strings.Join(found, ", ")
	return nil
}

// buildOurs builds our server: the checkout to measure, the checkouts of -also, and the requested variants.
func (l *harness) buildOurs(ctx context.Context) error {
	products := maps.Clone(l.also)
	products["ours"] = l.product
	for name, dir := range products {
		if err := l.build(ctx, dir, "./cmd/clientapps", name); err != nil {
			return err
		}
	}
	for _, v := range variants() {
		if l.scale || l.citus || !l.wants(v.name) {
			continue
		}
		if err := l.buildVariant(ctx, v); err != nil {
			return err
		}
	}
	return nil
}

// build compiles a command of a module. cgo is off, as in released builds.
func (l *harness) build(ctx context.Context, dir, pack, name string, flags ...string) error {
	slog.Info("building", "contender", name)
	args := append([]string{"build", "-trimpath", "-o", l.path(name)}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, pack)...) //nolint:gosec // constant arguments
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return nil
}

func (l *harness) path(name string) string { return filepath.Join(l.dir, name) }

// database creates a PostgreSQL database, migrates it with a command that was built, loads it, and returns its URL and a token.
func (l *harness) database(ctx context.Context, name string, size dataset.Size, command string) (url, token string, err error) {
	db, err := pgx.Connect(ctx, l.postgres.URL)
	if err != nil {
		return "", "", err
	}
	_, err = db.Exec(ctx, "CREATE DATABASE "+name)
	if err := errors.Join(err, db.Close(ctx)); err != nil {
		return "", "", err
	}
	url = strings.Replace(l.postgres.URL, "/postgres?", "/"+name+"?", 1)
	var took time.Duration
	token, err = l.prepare(ctx, url, func() error {
		start := time.Now()
		err := size.LoadPostgres(ctx, url)
		took = time.Since(start)
		return err
	}, size, command)
	if err != nil {
		return "", "", err
	}
	return url, token, l.recordLoaded(ctx, url, size, took)
}

// recordLoaded records the contents of a database for the results.
func (l *harness) recordLoaded(ctx context.Context, url string, size dataset.Size, took time.Duration) error {
	db, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	var bytes int64
	err = db.QueryRow(ctx, "SELECT pg_database_size(current_database())").Scan(&bytes)
	l.loaded = append(l.loaded, fmt.Sprintf("%d apps of %d clients and %d catalog apps, loaded into PostgreSQL in %v: %.1f GB",
		size.Apps, size.Clients, size.Catalog, took.Round(100*time.Millisecond), float64(bytes)/1e9))
	return errors.Join(err, db.Close(ctx))
}

// prepare migrates a database with a command of ours, loads it, and creates a token.
func (l *harness) prepare(ctx context.Context, url string, load func() error, size dataset.Size, command string) (token string, err error) {
	if _, err := l.admin(ctx, command, url, "migrate", "up"); err != nil {
		return "", err
	}
	slog.Info("loading", "apps", size.Apps, "clients", size.Clients, "catalog", size.Catalog)
	if err := load(); err != nil {
		return "", err
	}
	return l.admin(ctx, command, url, "token", "create", "--name", "bench", "--all-clients", "--scope", "apps:read", "--scope", "apps:write")
}

// admin runs a clientapps command and returns its output.
func (l *harness) admin(ctx context.Context, command, url string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, l.path(command), args...) //nolint:gosec // built by us
	cmd.Env = append(os.Environ(), "CLIENTAPPS_DATABASE_URL="+url)
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("clientapps %s: %w\n%s", strings.Join(args, " "), err, problems.String())
	}
	return strings.TrimSpace(string(out)), nil
}
