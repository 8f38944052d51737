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

// lab is where a benchmark happens: a directory, a PostgreSQL server and the contenders, all of its own.
type lab struct {
	options

	dir        string
	busy       string        // the load average before anything was started
	flush      time.Duration // of one page to the disk
	settings   string        // of PostgreSQL, those that decide what is durable
	postgres   *machine.Postgres
	contenders []*contender
	loaded     []string // what went into the databases, and how long it took
	seeds      int      // that slices have used
	stops      []func() // last in, first out
}

func newLab(ctx context.Context, o options) (l *lab, err error) {
	if err := errors.Join(
		machine.Need(ctx, "wrk", "wrk"), machine.NeedPostgres(ctx), needNode(ctx, o),
	); err != nil {
		return nil, err
	}
	l = &lab{options: o, busy: machine.LoadAverage()}
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

// checkDisk refuses a directory where nothing is durable.
func (l *lab) checkDisk() error {
	if err := os.Chmod(l.dir, 0o711); err != nil { //nolint:gosec // the database's user has to pass through
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
	if !o.wants("fastify") || o.scale || o.profile != "" {
		return nil
	}
	return errors.Join(machine.Need(ctx, "node", "nodejs"), machine.Need(ctx, "npm", "npm"))
}

// close ends what was started and removes what was written.
func (l *lab) close() {
	for _, stop := range slices.Backward(l.stops) {
		stop()
	}
	l.stops = nil
}

// start builds, loads and starts everything that this run needs.
func (l *lab) start(ctx context.Context) error {
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

func (l *lab) startPostgres(ctx context.Context) (err error) {
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

// readSettings asks PostgreSQL for what it runs with, and refuses what would make the figures worth nothing.
func (l *lab) readSettings(ctx context.Context) error {
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

// buildOurs builds our server: the checkout to measure, the others beside it, and the variants that were asked for.
func (l *lab) buildOurs(ctx context.Context) error {
	products := maps.Clone(l.also)
	products["ours"] = l.product
	for name, dir := range products {
		if err := l.build(ctx, dir, "./cmd/clientapps", name); err != nil {
			return err
		}
	}
	for _, v := range variants() {
		if l.scale || !l.wants(v.name) {
			continue
		}
		if err := l.buildVariant(ctx, v); err != nil {
			return err
		}
	}
	return nil
}

// build compiles a command of a module. cgo is off, as it is in what users get.
func (l *lab) build(ctx context.Context, dir, pack, name string, flags ...string) error {
	slog.Info("building", "contender", name)
	args := append([]string{"build", "-trimpath", "-o", l.path(name)}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, pack)...) //nolint:gosec // our own words
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return nil
}

func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

// database makes a PostgreSQL database, migrated and loaded, and returns its URL and a token.
func (l *lab) database(ctx context.Context, name string, size dataset.Size) (url, token string, err error) {
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
	}, size)
	if err != nil {
		return "", "", err
	}
	return url, token, l.noteLoaded(ctx, url, size, took)
}

// noteLoaded writes down for the results what a database holds.
func (l *lab) noteLoaded(ctx context.Context, url string, size dataset.Size, took time.Duration) error {
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

// prepare migrates with our own command, loads, and makes a token.
func (l *lab) prepare(ctx context.Context, url string, load func() error, size dataset.Size) (token string, err error) {
	if _, err := l.admin(ctx, url, "migrate", "up"); err != nil {
		return "", err
	}
	slog.Info("loading", "apps", size.Apps, "clients", size.Clients, "catalog", size.Catalog)
	if err := load(); err != nil {
		return "", err
	}
	return l.admin(ctx, url, "token", "create", "--name", "bench", "--all-clients", "--scope", "apps:read", "--scope", "apps:write")
}

// admin runs a command of ours and returns what it prints.
func (l *lab) admin(ctx context.Context, url string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, l.path("ours"), args...) //nolint:gosec // built by us
	cmd.Env = append(os.Environ(), "CLIENTAPPS_DATABASE_URL="+url)
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("clientapps %s: %w\n%s", strings.Join(args, " "), err, problems.String())
	}
	return strings.TrimSpace(string(out)), nil
}
