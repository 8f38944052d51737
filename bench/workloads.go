package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/clientapps/clientapps/bench/load"
)

// workload is a load with its contenders. The first contender is compared with the others.
type workload struct {
	name, what string
	group      string // workloads of a group share their rounds, for comparison; "" for none
	contenders []string
	run        func(ctx context.Context, h *harness, c *contender, seed int) (load.Result, error)

	// Slices instead of the usual ones, unless the options say otherwise; 0 for the usual ones.
	slices int
	slice  time.Duration
}

// slicing returns the number of slices of each contender under a load, and their length.
func (o options) slicing(w workload) (n int, length time.Duration) {
	n, length = o.slices, o.slice
	if w.slices > 0 && !o.given["slices"] {
		n = w.slices
	}
	if w.slice > 0 && !o.given["slice"] {
		length = w.slice
	}
	return n, length
}

const (
	defaultConnections = 32 // connections of most loads
	fixedRate          = "patch-fixed"
)

var (
	postgresContenders = []string{"ours", "hand", "hand-joined", "hand-coalesced", "fastify", "http", "pgbench", "pgbench-32"}
	writeContenders    = []string{"ours", "hand", "hand-coalesced", "fastify"}
	readContenders     = []string{"ours", "hand", "hand-joined", "fastify"}
	variantContenders  = []string{"ours", "ours-unchecked", "ours-paths", "ours-no-pgo"}
	webhookContenders  = []string{"ours", "ours-webhooks", "ours-webhook-client", "ours-webhook-all"}
	sqliteContenders   = []string{"ours-sqlite", "pocketbase", "ours-sqlite-normal", "pocketbase-normal"}
	scaleContenders    = []string{"ours-large", "ours-small"}
)

// workloads returns all loads, in the order of the table.
func workloads() []workload {
	base := []workload{
		{
			name: "patch", what: "PATCH over 32 connections; each changes its row",
			contenders: postgresContenders, run: peak(defaultConnections, load.Patch),
		},
		{
			name: "patch-1", what: "PATCH over one connection",
			contenders: without(postgresContenders, "hand-joined", "http", "pgbench-32"), run: peak(1, load.Patch),
		},
		{
			name: fixedRate, what: "PATCH at a fixed rate over 64 connections",
			contenders: writeContenders, run: fixed(64, load.Patch),
			slices: 16, slice: 5 * time.Second, // times vary more than rates
		},
		{
			name: "patch-variants", what: "PATCH over 32 connections, our server and its variants",
			contenders: variantContenders, run: peak(defaultConnections, load.Patch),
		},
		{
			name: "mixed-variants", what: "the load mixed, our server and a variant",
			contenders: []string{"ours", "ours-no-pgo"}, run: peak(defaultConnections, load.Mixed),
		},
		{
			name: "patch-webhooks", what: "PATCH over 32 connections, our server without and with webhooks",
			contenders: webhookContenders, run: peak(defaultConnections, load.Patch),
		},
		{
			name: "get-webhooks", what: "GET of one app, our server without and with webhooks",
			contenders: webhookContenders, run: peak(defaultConnections, load.Get),
		},
		{
			name: "get", what: "GET of one app",
			contenders: without(postgresContenders, "hand-coalesced", "pgbench", "pgbench-32"), run: peak(defaultConnections, load.Get),
		},
		{
			name: "list", what: "first page of 50 of a client's apps",
			contenders: readContenders, run: peak(defaultConnections, load.List),
		},
		{
			name: "page-1", what: "first page of a client that has every app of the catalog", group: "pages",
			contenders: readContenders, run: page(1),
		},
		{
			name: "page-200", what: "page 200 of that client, of the same size", group: "pages",
			contenders: readContenders, run: page(200),
		},
		{
			name: "bulk", what: "POST that sets a boolean of 100 apps",
			contenders: []string{"ours", "hand", "fastify"}, run: peak(defaultConnections, load.Bulk),
		},
		{
			name: "updates", what: "PATCH of 1,000 apps with values of their own, over four connections",
			contenders: []string{"ours", "ours-sqlite"}, run: peak(4, load.Updates),
		},
		{
			name: "not-modified", what: "GET of one app with If-None-Match of its tag, answered 304",
			contenders: []string{"ours"}, run: unchanged(prepareConditionalGet),
		},
		{
			name: "noop", what: "PATCH that changes nothing",
			contenders: []string{"ours", "hand", "hand-coalesced"}, run: unchanged(prepareNoop),
		},
		{
			name: "mixed", what: "70 % GET, 10 % pages of 50, 20 % PATCH",
			contenders: writeContenders, run: peak(defaultConnections, load.Mixed),
		},
	}
	var all []workload
	all = append(all, base...)
	for _, w := range base {
		switch w.name {
		case "patch", "patch-1", "get", "list", "mixed":
			w.name += "-sqlite"
			w.contenders = sqliteContenders
			all = append(all, w)
		}
	}
	return all
}

// scaleWorkloads returns the loads of the comparison with a larger database.
func scaleWorkloads() []workload {
	var all []workload
	for _, w := range workloads() {
		switch w.name {
		case "patch", "get", "list", "page-1", "page-200", "bulk":
			w.contenders = scaleContenders
			all = append(all, w)
		}
	}
	return append(all, workload{
		name: "search", what: "first page of 50 of a client's apps with a text in their names",
		contenders: scaleContenders, run: peak(defaultConnections, load.Search),
	})
}

func without(names []string, drop ...string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(drop, name) })
}

func workloadNames() (names []string) {
	for _, w := range append(workloads(), scaleWorkloads()...) {
		if !slices.Contains(names, w.name) {
			names = append(names, w.name)
		}
	}
	return names
}

// chosen returns the requested loads, with the contenders that were started.
func (h *harness) chosen() (chosen []workload) {
	all := workloads()
	if h.scale {
		all = scaleWorkloads()
	}
	if h.citus {
		all = citusWorkloads()
	}
	for _, w := range all {
		if len(h.workloads) > 0 && !slices.Contains(h.workloads, w.name) {
			continue
		}
		var started []string
		for _, name := range w.contenders {
			if h.find(name) != nil {
				started = append(started, name)
			}
			if name == "ours" {
				for _, c := range h.contenders {
					if _, ok := h.also[c.name]; ok {
						started = append(started, c.name)
					}
				}
			}
		}
		if len(started) > 0 {
			w.contenders = started
			chosen = append(chosen, w)
		}
	}
	return chosen
}

func (h *harness) plan(c *contender, forms []load.Form) load.Plan {
	return load.Plan{Base: c.base, Token: c.token, Forms: forms, Size: c.size}
}

// peak sends the next request on each connection as soon as the answer has arrived.
func peak(connections int, forms func(load.API) []load.Form) func(context.Context, *harness, *contender, int) (load.Result, error) {
	return func(ctx context.Context, h *harness, c *contender, seed int) (load.Result, error) {
		if c.pgbench != nil {
			if c.pgbench.Rows > 1 { // two such statements could deadlock
				return c.pgbench.Run(ctx, h.dir, 1, h.slice)
			}
			return c.pgbench.Run(ctx, h.dir, connections, h.slice)
		}
		return h.plan(c, forms(c.api)).Wrk(ctx, h.dir, connections, h.slice, seed)
	}
}

// fixed sends requests at the rate of the options.
func fixed(connections int, forms func(load.API) []load.Form) func(context.Context, *harness, *contender, int) (load.Result, error) {
	return func(ctx context.Context, h *harness, c *contender, _ int) (load.Result, error) {
		return h.plan(c, forms(c.api)).Vegeta(ctx, h.rate, connections, h.slice)
	}
}

// page requests one page of the large clients repeatedly.
func page(number int) func(context.Context, *harness, *contender, int) (load.Result, error) {
	cursors := map[string][]string{}
	return func(ctx context.Context, h *harness, c *contender, seed int) (load.Result, error) {
		if cursors[c.name] == nil {
			found, err := h.walk(ctx, c, number)
			if err != nil {
				return load.Result{}, err
			}
			cursors[c.name] = found
		}
		var forms []load.Form
		for n, cursor := range cursors[c.name] {
			forms = append(forms, load.Form{Weight: 1, Method: "GET", Path: largePage(c, n, cursor)})
		}
		return h.plan(c, forms).Wrk(ctx, h.dir, defaultConnections, h.slice, seed)
	}
}

func largePage(c *contender, n int, cursor string) string {
	path := fmt.Sprintf("%s?page_size=%d", load.Large(c.size, n), c.size.DeepPageSize())
	if cursor != "" {
		path += "&cursor=" + cursor
	}
	return path
}

// walk follows the cursors of each large client to a page.
func (h *harness) walk(ctx context.Context, c *contender, number int) ([]string, error) {
	found := make([]string, c.size.Large())
	for n := range found {
		for page := 1; page < number; page++ {
			a, err := c.send(ctx, "GET", largePage(c, n, found[n]), "")
			if err != nil {
				return nil, err
			}
			_, after, ok := strings.Cut(a.body, `"next_cursor":"`)
			cursor, _, _ := strings.Cut(after, `"`)
			if a.status != 200 || !ok {
				return nil, fmt.Errorf("%s: page %d of a list has no next page: %d", c.name, page, a.status)
			}
			found[n] = cursor
		}
	}
	return found, nil
}
