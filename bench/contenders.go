package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/clientapps/clientapps/bench/dataset"
	"github.com/clientapps/clientapps/bench/load"
	"github.com/clientapps/clientapps/bench/machine"
	"github.com/clientapps/clientapps/bench/report"
)

// contender is a program that is measured.
type contender struct {
	name      string
	base      string // http://HOST:PORT
	token     string
	api       load.API
	size      dataset.Size
	process   *machine.Process                                      // nil for pgbench
	databases []int                                                 // process ids of its database servers, if it has any beside it
	pgbench   *load.Pgbench                                         // instead of a server
	history   func(ctx context.Context, client string) (int, error) // changes on record of a client's apps
	footprint report.Footprint

	afterSlice func(ctx context.Context) error // may be nil
}

// contenderNames are the values of -contenders. legend describes them.
var contenderNames = []string{
	"ours", "hand", "hand-joined", "hand-coalesced", "pgbench", "pgbench-32", "fastify", "http",
	"ours-unchecked", "ours-paths", "ours-no-pgo", "ours-webhooks", "ours-webhook-client", "ours-webhook-all",
	"ours-sqlite", "pocketbase", "ours-sqlite-normal", "pocketbase-normal",
}

var legend = map[string]string{
	"ours":                "this server on PostgreSQL: contract, history and request log on",
	"hand":                "hand-written with net/http and pgx: one statement per request, catalog in memory as encoded bytes, no log",
	"hand-joined":         "the same, with the catalog joined in SQL",
	"hand-coalesced":      "hand with group commit: writes that wait at the same moment share a statement and a commit",
	"pgbench":             "the statement of a patch without a server: the limit with one commit per write",
	"pgbench-32":          "32 rows in one statement and one commit, one connection; each row counts as a request",
	"fastify":             "Fastify and postgres.js in one process, catalog in memory",
	"http":                "net/http with a fixed answer and no database",
	"ours-unchecked":      "ours without validation: parameters are not checked, and the generated code decodes the body",
	"ours-paths":          "ours with eighty more paths in the contract, each like the path of an app",
	"ours-no-pgo":         "ours built without its profile (-pgo=off)",
	"ours-webhooks":       "ours with a key for webhooks, and ten thousand webhooks that have nothing to deliver",
	"ours-webhook-client": "the same, and a webhook of one client of those that are patched; its receiver is on this machine",
	"ours-webhook-all":    "the same with a webhook of all clients, so that it delivers all the time. What a slice leaves is skipped",
	"ours-sqlite":         "this server on SQLite, synchronous FULL: every commit is flushed before it is acknowledged",
	"pocketbase": "PocketBase on SQLite with its own API, its request log, and a trigger for the history; synchronous FULL " +
		"instead of its default NORMAL, so that it flushes as often as ours",
	"ours-sqlite-normal": "ours-sqlite with synchronous NORMAL: a power failure can lose acknowledged writes. " +
		"The server has no such setting; this build is only for the comparison",
	"pocketbase-normal": "PocketBase with its default: synchronous NORMAL",
	"ours-large":        "this server on the large database",
	"ours-small":        "this server on 200,000 apps",
	"ours-by-client":    "ours with --batch-by-client, on one PostgreSQL",
	"ours-citus":        "ours on a Citus cluster of a coordinator and two workers on this machine, connected to the coordinator",
	"ours-citus-worker": "the same, connected to a worker",
}

func (l *harness) needsPostgres() bool {
	for _, name := range contenderNames {
		if name != "http" && !onSQLite(name) && l.wants(name) {
			return true
		}
	}
	return l.scale || l.citus
}

func (l *harness) startContenders(ctx context.Context) error {
	if l.scale {
		return l.startScale(ctx)
	}
	if l.citus {
		return l.startCitus(ctx)
	}
	if l.postgres != nil {
		if err := l.startOnPostgres(ctx); err != nil {
			return err
		}
	}
	if l.wants("http") {
		if err := l.buildHandwritten(ctx); err != nil {
			return err
		}
		c := &contender{name: "http", token: "none", api: load.Contract{}, size: l.size}
		if err := l.serve(ctx, c, "/", l.path("handwritten"), "-static", "-addr", addrOf); err != nil {
			return err
		}
	}
	for _, name := range contenderNames {
		if !l.wants(name) || !onSQLite(name) {
			continue
		}
		start := l.startOnSQLite
		if strings.HasPrefix(name, "pocketbase") {
			start = l.startPocketBase
		}
		if err := start(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func onSQLite(name string) bool {
	return strings.HasPrefix(name, "ours-sqlite") || strings.HasPrefix(name, "pocketbase")
}

// addrOf is a placeholder for the address in the arguments of a program.
const addrOf = "{addr}"

func (l *harness) startOnPostgres(ctx context.Context) error {
	url, token, err := l.database(ctx, "bench", l.size, "ours")
	if err != nil {
		return err
	}
	on := func(name string) *contender {
		return &contender{
			name: name, token: token, api: load.Contract{}, size: l.size, databases: []int{l.postgres.PID()},
			history: postgresHistory(url),
		}
	}
	for _, name := range []string{"ours", "ours-unchecked", "ours-paths", "ours-no-pgo"} {
		if !l.wants(name) {
			continue
		}
		if err := l.serveOurs(ctx, on(name), name, url); err != nil {
			return err
		}
	}
	for _, with := range withWebhooks {
		if !l.wants(with.name) {
			continue
		}
		if err := l.startWebhooks(ctx, on(with.name), with.client); err != nil {
			return fmt.Errorf("%s: %w", with.name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.also)) { // each on a database with its own schema
		url, token, err := l.database(ctx, "bench_"+name, l.size, name)
		if err != nil {
			return err
		}
		c := on(name)
		c.token, c.history = token, postgresHistory(url)
		if err := l.serveOurs(ctx, c, name, url); err != nil {
			return err
		}
	}
	for _, ref := range []struct {
		name string
		args []string
	}{
		{"hand", nil}, {"hand-joined", []string{"-catalog", "joined"}}, {"hand-coalesced", []string{"-coalesce"}},
	} {
		if !l.wants(ref.name) {
			continue
		}
		if err := l.buildHandwritten(ctx); err != nil {
			return err
		}
		args := append([]string{l.path("handwritten"), "-addr", addrOf, "-database-url", url, "-conns", strconv.Itoa(l.conns)}, ref.args...)
		if err := l.serve(ctx, on(ref.name), "/v2/clients/"+dataset.ClientID(0)+"/apps", args...); err != nil {
			return err
		}
	}
	if l.wants("fastify") {
		if err := l.startFastify(ctx, on("fastify"), url); err != nil {
			return err
		}
	}
	for _, rows := range []int{1, 32} {
		name := "pgbench"
		if rows > 1 {
			name = fmt.Sprintf("pgbench-%d", rows)
		}
		if l.wants(name) {
			c := on(name)
			c.pgbench = &load.Pgbench{Program: l.postgres.Program("pgbench"), URL: url, Rows: rows, Size: l.size}
			l.contenders = append(l.contenders, c)
		}
	}
	return nil
}

// buildHandwritten builds the hand-written reference once. Several contenders use it.
func (l *harness) buildHandwritten(ctx context.Context) error {
	if _, err := os.Stat(l.path("handwritten")); err == nil { //nolint:gosec // where the options say
		return nil
	}
	return l.build(ctx, ".", "./handwritten", "handwritten")
}

func (l *harness) startFastify(ctx context.Context, c *contender, url string) error {
	if _, err := os.Stat(filepath.Join("node_modules", ".package-lock.json")); err != nil {
		slog.Info("installing the packages of package-lock.json")
		if out, err := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund").CombinedOutput(); err != nil {
			return fmt.Errorf("npm ci: %w\n%s", err, out)
		}
	}
	return l.serve(ctx, c, "/v2/clients/"+dataset.ClientID(0)+"/apps",
		"node", filepath.Join("fastify", "server.js"), portOf, url, strconv.Itoa(l.conns))
}

// portOf is a placeholder for the port in the arguments of a program.
const portOf = "{port}"

// starts is how often a contender is started, to measure its start time.
const starts = 3

// serve starts a contender, waits until it answers at a path, and records the time.
func (l *harness) serve(ctx context.Context, c *contender, ready string, words ...string) error {
	slog.Info("starting", "contender", c.name)
	times := make([]time.Duration, 0, starts)
	for n := range starts {
		addr, err := machine.FreeAddr()
		if err != nil {
			return err
		}
		_, port, _ := net.SplitHostPort(addr)
		args := slices.Clone(words)
		for i, word := range args {
			args[i] = strings.NewReplacer(addrOf, addr, portOf, port).Replace(word)
		}
		cmd := exec.Command(args[0], args[1:]...) //nolint:gosec,noctx // constant arguments; stopped by Stop
		cmd.Env = append(os.Environ(), "NODE_ENV=production")
		start := time.Now()
		process, err := machine.Start(c.name, cmd, l.path(c.name+".log"), syscall.SIGTERM)
		if err != nil {
			return err
		}
		c.process, c.base = process, "http://"+addr
		if err := process.Await(ctx, c.base+ready, c.token, start); err != nil {
			process.Stop()
			return err
		}
		times = append(times, process.Ready)
		if n < starts-1 {
			process.Stop()
		}
	}
	l.stops = append(l.stops, c.process.Stop)
	l.contenders = append(l.contenders, c)
	slices.Sort(times)
	c.footprint = report.Footprint{Contender: c.name, Ready: times[len(times)/2]}
	use, err := machine.UsageOf(c.process.PID())
	if err != nil {
		return err
	}
	c.footprint.Idle = use.Resident
	if info, err := os.Stat(words[0]); err == nil { //nolint:gosec // constant arguments
		c.footprint.Binary = info.Size()
	}
	return nil
}

func (l *harness) find(name string) *contender {
	for _, c := range l.contenders {
		if c.name == name {
			return c
		}
	}
	return nil
}
