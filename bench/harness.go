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

	dir         string
	loadAverage string        // the load average before anything was started
	flushTime   time.Duration // time to flush one page to the disk
	settings    string        // PostgreSQL's settings for durability
	postgres    *machine.Postgres
	contenders  []*contender
	loaded      []string // contents of the databases, and the time to load them
	seeds       int      // seeds used by slices so far
	stops       []func() // last in, first out
}

func newHarness(ctx context.Context, o options) (h *harness, err error) {
	if err := errors.Join(
		machine.Need(ctx, "wrk", "wrk"), machine.NeedPostgres(ctx), needNode(ctx, o),
	); err != nil {
		return nil, err
	}
	h = &harness{options: o, loadAverage: machine.LoadAverage()}
	if h.dir, err = os.MkdirTemp(o.dir, "clientapps-bench."); err != nil {
		return nil, err
	}
	h.stops = append(h.stops, func() { _ = os.RemoveAll(h.dir) })
	if err := h.checkDisk(); err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

// checkDisk refuses a directory in memory, where nothing is durable.
func (h *harness) checkDisk() error {
	if err := os.Chmod(h.dir, 0o711); err != nil { //nolint:gosec // the database's user must be able to enter
		return err
	}
	onDisk, err := machine.OnDisk(h.dir)
	if err != nil {
		return err
	}
	if !onDisk {
		return fmt.Errorf("%s is in memory: nothing is durable there; give -dir", h.dir)
	}
	h.flushTime, err = machine.Flush(h.dir)
	return err
}

func needNode(ctx context.Context, o options) error {
	if !o.wants("fastify") || o.scale || o.citus || o.profile != "" {
		return nil
	}
	return errors.Join(machine.Need(ctx, "node", "nodejs"), machine.Need(ctx, "npm", "npm"))
}

// close stops all processes and removes all files.
func (h *harness) close() {
	for _, stop := range slices.Backward(h.stops) {
		stop()
	}
	h.stops = nil
}

// start builds, loads and starts everything that this run needs.
func (h *harness) start(ctx context.Context) error {
	if err := h.buildOurs(ctx); err != nil {
		return err
	}
	if h.needsPostgres() {
		if err := h.startPostgres(ctx); err != nil {
			return err
		}
	}
	return h.startContenders(ctx)
}

func (h *harness) startPostgres(ctx context.Context) (err error) {
	dir := filepath.Join(h.dir, "postgres")
	if err := os.Mkdir(dir, 0o700); err != nil { //nolint:gosec // where the options say
		return err
	}
	slog.Info("starting PostgreSQL")
	if h.postgres, err = machine.StartPostgres(ctx, dir); err != nil {
		return err
	}
	h.stops = append(h.stops, h.postgres.Stop)
	return h.readSettings(ctx)
}

// readSettings reads PostgreSQL's settings, and refuses those that make writes not durable.
func (h *harness) readSettings(ctx context.Context) error {
	db, err := pgx.Connect(ctx, h.postgres.URL)
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
	h.settings = strings.Join(found, ", ")
	return nil
}

// buildOurs builds our server: the checkout to measure, the checkouts of -also, and the requested variants.
func (h *harness) buildOurs(ctx context.Context) error {
	products := maps.Clone(h.also)
	products["ours"] = h.product
	for name, dir := range products {
		if err := h.build(ctx, dir, "./cmd/clientapps", name); err != nil {
			return err
		}
	}
	for _, v := range variants() {
		if h.scale || h.citus || !h.wants(v.name) {
			continue
		}
		if err := h.buildVariant(ctx, v); err != nil {
			return err
		}
	}
	return nil
}

// build compiles a command of a module. cgo is off, as in released builds.
func (h *harness) build(ctx context.Context, dir, pack, name string, flags ...string) error {
	slog.Info("building", "contender", name)
	args := append([]string{"build", "-trimpath", "-o", h.path(name)}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, pack)...) //nolint:gosec // constant arguments
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return nil
}

func (h *harness) path(name string) string { return filepath.Join(h.dir, name) }

// database creates a PostgreSQL database, migrates it with a command that was built, loads it, and returns its URL and a token.
func (h *harness) database(ctx context.Context, name string, size dataset.Size, command string) (url, token string, err error) {
	db, err := pgx.Connect(ctx, h.postgres.URL)
	if err != nil {
		return "", "", err
	}
	_, err = db.Exec(ctx, "CREATE DATABASE "+name)
	if err := errors.Join(err, db.Close(ctx)); err != nil {
		return "", "", err
	}
	url = strings.Replace(h.postgres.URL, "/postgres?", "/"+name+"?", 1)
	var took time.Duration
	token, err = h.prepare(ctx, url, func() error {
		start := time.Now()
		err := size.LoadPostgres(ctx, url)
		took = time.Since(start)
		return err
	}, size, command)
	if err != nil {
		return "", "", err
	}
	return url, token, h.recordLoaded(ctx, url, size, took)
}

// recordLoaded records the contents of a database for the results.
func (h *harness) recordLoaded(ctx context.Context, url string, size dataset.Size, took time.Duration) error {
	db, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	var bytes int64
	err = db.QueryRow(ctx, "SELECT pg_database_size(current_database())").Scan(&bytes)
	h.loaded = append(h.loaded, fmt.Sprintf("%d apps of %d clients and %d catalog apps, loaded into PostgreSQL in %v: %.1f GB",
		size.Apps, size.Clients, size.Catalog, took.Round(100*time.Millisecond), float64(bytes)/1e9))
	return errors.Join(err, db.Close(ctx))
}

// prepare migrates a database with a command of ours, loads it, and creates a token.
func (h *harness) prepare(ctx context.Context, url string, load func() error, size dataset.Size, command string) (token string, err error) {
	if _, err := h.admin(ctx, command, url, "migrate", "up"); err != nil {
		return "", err
	}
	slog.Info("loading", "apps", size.Apps, "clients", size.Clients, "catalog", size.Catalog)
	if err := load(); err != nil {
		return "", err
	}
	return h.admin(ctx, command, url, "token", "create", "--name", "bench", "--all-clients", "--scope", "apps:read", "--scope", "apps:write")
}

// admin runs a clientapps command and returns its output.
func (h *harness) admin(ctx context.Context, command, url string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, h.path(command), args...) //nolint:gosec // built by us
	cmd.Env = append(os.Environ(), "CLIENTAPPS_DATABASE_URL="+url)
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("clientapps %s: %w\n%s", strings.Join(args, " "), err, problems.String())
	}
	return strings.TrimSpace(string(out)), nil
}
