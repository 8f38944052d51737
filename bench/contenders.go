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

func (h *harness) needsPostgres() bool {
	for _, name := range contenderNames {
		if name != "http" && !isOnSQLite(name) && h.wants(name) {
			return true
		}
	}
	return h.scale || h.citus
}

func (h *harness) startContenders(ctx context.Context) error {
	if h.scale {
		return h.startScale(ctx)
	}
	if h.citus {
		return h.startCitus(ctx)
	}
	if h.postgres != nil {
		if err := h.startOnPostgres(ctx); err != nil {
			return err
		}
	}
	if h.wants("http") {
		if err := h.buildHandwritten(ctx); err != nil {
			return err
		}
		c := &contender{name: "http", token: "none", api: load.Contract{}, size: h.size}
		if err := h.serve(ctx, c, "/", h.path("handwritten"), "-static", "-addr", addrPlaceholder); err != nil {
			return err
		}
	}
	for _, name := range contenderNames {
		if !h.wants(name) || !isOnSQLite(name) {
			continue
		}
		start := h.startOnSQLite
		if strings.HasPrefix(name, "pocketbase") {
			start = h.startPocketBase
		}
		if err := start(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func isOnSQLite(name string) bool {
	return strings.HasPrefix(name, "ours-sqlite") || strings.HasPrefix(name, "pocketbase")
}

// addrPlaceholder is a placeholder for the address in the arguments of a program.
const addrPlaceholder = "{addr}"

func (h *harness) startOnPostgres(ctx context.Context) error {
	url, token, err := h.database(ctx, "bench", h.size, "ours")
	if err != nil {
		return err
	}
	on := func(name string) *contender {
		return &contender{
			name: name, token: token, api: load.Contract{}, size: h.size, databases: []int{h.postgres.PID()},
			history: postgresHistory(url),
		}
	}
	for _, name := range []string{"ours", "ours-unchecked", "ours-paths", "ours-no-pgo"} {
		if !h.wants(name) {
			continue
		}
		if err := h.serveOurs(ctx, on(name), name, url); err != nil {
			return err
		}
	}
	for _, variant := range webhookVariants {
		if !h.wants(variant.name) {
			continue
		}
		if err := h.startWebhooks(ctx, on(variant.name), variant.client); err != nil {
			return fmt.Errorf("%s: %w", variant.name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(h.also)) { // each on a database with its own schema
		url, token, err := h.database(ctx, "bench_"+name, h.size, name)
		if err != nil {
			return err
		}
		c := on(name)
		c.token, c.history = token, postgresHistory(url)
		if err := h.serveOurs(ctx, c, name, url); err != nil {
			return err
		}
	}
	for _, ref := range []struct {
		name string
		args []string
	}{
		{"hand", nil}, {"hand-joined", []string{"-catalog", "joined"}}, {"hand-coalesced", []string{"-coalesce"}},
	} {
		if !h.wants(ref.name) {
			continue
		}
		if err := h.buildHandwritten(ctx); err != nil {
			return err
		}
		args := append([]string{h.path("handwritten"), "-addr", addrPlaceholder, "-database-url", url, "-conns", strconv.Itoa(h.conns)}, ref.args...)
		if err := h.serve(ctx, on(ref.name), "/v2/clients/"+dataset.ClientID(0)+"/apps", args...); err != nil {
			return err
		}
	}
	if h.wants("fastify") {
		if err := h.startFastify(ctx, on("fastify"), url); err != nil {
			return err
		}
	}
	for _, rows := range []int{1, 32} {
		name := "pgbench"
		if rows > 1 {
			name = fmt.Sprintf("pgbench-%d", rows)
		}
		if h.wants(name) {
			c := on(name)
			c.pgbench = &load.Pgbench{Program: h.postgres.Program("pgbench"), URL: url, Rows: rows, Size: h.size}
			h.contenders = append(h.contenders, c)
		}
	}
	return nil
}

// buildHandwritten builds the hand-written reference once. Several contenders use it.
func (h *harness) buildHandwritten(ctx context.Context) error {
	if _, err := os.Stat(h.path("handwritten")); err == nil { //nolint:gosec // where the options say
		return nil
	}
	return h.build(ctx, ".", "./handwritten", "handwritten")
}

func (h *harness) startFastify(ctx context.Context, c *contender, url string) error {
	if _, err := os.Stat(filepath.Join("node_modules", ".package-lock.json")); err != nil {
		slog.Info("installing the packages of package-lock.json")
		if out, err := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund").CombinedOutput(); err != nil {
			return fmt.Errorf("npm ci: %w\n%s", err, out)
		}
	}
	return h.serve(ctx, c, "/v2/clients/"+dataset.ClientID(0)+"/apps",
		"node", filepath.Join("fastify", "server.js"), portPlaceholder, url, strconv.Itoa(h.conns))
}

// portPlaceholder is a placeholder for the port in the arguments of a program.
const portPlaceholder = "{port}"

// startCount is how often a contender is started, to measure its start time.
const startCount = 3

// serve starts a contender, waits until it answers at a path, and records the time.
func (h *harness) serve(ctx context.Context, c *contender, readyPath string, command ...string) error {
	slog.Info("starting", "contender", c.name)
	times := make([]time.Duration, 0, startCount)
	for n := range startCount {
		addr, err := machine.FreeAddr()
		if err != nil {
			return err
		}
		_, port, _ := net.SplitHostPort(addr)
		args := slices.Clone(command)
		for i, word := range args {
			args[i] = strings.NewReplacer(addrPlaceholder, addr, portPlaceholder, port).Replace(word)
		}
		cmd := exec.Command(args[0], args[1:]...) //nolint:gosec,noctx // constant arguments; stopped by Stop
		cmd.Env = append(os.Environ(), "NODE_ENV=production")
		start := time.Now()
		process, err := machine.Start(c.name, cmd, h.path(c.name+".log"), syscall.SIGTERM)
		if err != nil {
			return err
		}
		c.process, c.base = process, "http://"+addr
		if err := process.Await(ctx, c.base+readyPath, c.token, start); err != nil {
			process.Stop()
			return err
		}
		times = append(times, process.Ready)
		if n < startCount-1 {
			process.Stop()
		}
	}
	h.stops = append(h.stops, c.process.Stop)
	h.contenders = append(h.contenders, c)
	slices.Sort(times)
	c.footprint = report.Footprint{Contender: c.name, Ready: times[len(times)/2]}
	use, err := machine.UsageOf(c.process.PID())
	if err != nil {
		return err
	}
	c.footprint.Idle = use.Resident
	if info, err := os.Stat(command[0]); err == nil { //nolint:gosec // constant arguments
		c.footprint.Binary = info.Size()
	}
	return nil
}

func (h *harness) find(name string) *contender {
	for _, c := range h.contenders {
		if c.name == name {
			return c
		}
	}
	return nil
}
