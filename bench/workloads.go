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
	run        func(ctx context.Context, l *harness, c *contender, seed int) (load.Result, error)

	// Slices instead of the usual ones, unless the options say otherwise; 0 for the usual ones.
	slices int
	slice  time.Duration
}

// slicing returns the number of slices of each contender under a load, and their length.
func (o options) slicing(k workload) (n int, length time.Duration) {
	n, length = o.slices, o.slice
	if k.slices > 0 && !o.given["slices"] {
		n = k.slices
	}
	if k.slice > 0 && !o.given["slice"] {
		length = k.slice
	}
	return n, length
}

const (
	usualConnections = 32 // connections of most loads
	fixedRate        = "patch-fixed"
)

var (
	onPostgres = []string{"ours", "hand", "hand-joined", "hand-coalesced", "fastify", "http", "pgbench", "pgbench-32"}
	writers    = []string{"ours", "hand", "hand-coalesced", "fastify"}
	readers    = []string{"ours", "hand", "hand-joined", "fastify"}
	same       = []string{"ours", "ours-unchecked", "ours-paths", "ours-no-pgo"}
	hooked     = []string{"ours", "ours-webhooks", "ours-webhook-client", "ours-webhook-all"}
	embedded   = []string{"ours-sqlite", "pocketbase", "ours-sqlite-normal", "pocketbase-normal"}
	scaled     = []string{"ours-large", "ours-small"}
)

// workloads returns all loads, in the order of the table.
func workloads() []workload {
	usual := []workload{
		{
			name: "patch", what: "PATCH over 32 connections; each changes its row",
			contenders: onPostgres, run: peak(usualConnections, load.Patch),
		},
		{
			name: "patch-1", what: "PATCH over one connection",
			contenders: without(onPostgres, "hand-joined", "http", "pgbench-32"), run: peak(1, load.Patch),
		},
		{
			name: fixedRate, what: "PATCH at a fixed rate over 64 connections",
			contenders: writers, run: fixed(64, load.Patch),
			slices: 16, slice: 5 * time.Second, // times vary more than rates
		},
		{
			name: "patch-variants", what: "PATCH over 32 connections, our server and its variants",
			contenders: same, run: peak(usualConnections, load.Patch),
		},
		{
			name: "mixed-variants", what: "the load mixed, our server and a variant",
			contenders: []string{"ours", "ours-no-pgo"}, run: peak(usualConnections, load.Mixed),
		},
		{
			name: "patch-webhooks", what: "PATCH over 32 connections, our server without and with webhooks",
			contenders: hooked, run: peak(usualConnections, load.Patch),
		},
		{
			name: "get-webhooks", what: "GET of one app, our server without and with webhooks",
			contenders: hooked, run: peak(usualConnections, load.Get),
		},
		{
			name: "get", what: "GET of one app",
			contenders: without(onPostgres, "hand-coalesced", "pgbench", "pgbench-32"), run: peak(usualConnections, load.Get),
		},
		{
			name: "list", what: "first page of 50 of a client's apps",
			contenders: readers, run: peak(usualConnections, load.List),
		},
		{
			name: "page-1", what: "first page of a client that has every app of the catalog", group: "pages",
			contenders: readers, run: page(1),
		},
		{
			name: "page-200", what: "page 200 of that client, of the same size", group: "pages",
			contenders: readers, run: page(200),
		},
		{
			name: "bulk", what: "POST that sets a boolean of 100 apps",
			contenders: []string{"ours", "hand", "fastify"}, run: peak(usualConnections, load.Bulk),
		},
		{
			name: "updates", what: "PATCH of 1,000 apps with values of their own, over four connections",
			contenders: []string{"ours", "ours-sqlite"}, run: peak(4, load.Updates),
		},
		{
			name: "not-modified", what: "GET of one app with If-None-Match of its tag, answered 304",
			contenders: []string{"ours"}, run: unchanged(withTag),
		},
		{
			name: "noop", what: "PATCH that changes nothing",
			contenders: []string{"ours", "hand", "hand-coalesced"}, run: unchanged(patched),
		},
		{
			name: "mixed", what: "70 % GET, 10 % pages of 50, 20 % PATCH",
			contenders: writers, run: peak(usualConnections, load.Mixed),
		},
	}
	var all []workload
	all = append(all, usual...)
	for _, k := range usual {
		switch k.name {
		case "patch", "patch-1", "get", "list", "mixed":
			k.name += "-sqlite"
			k.contenders = embedded
			all = append(all, k)
		}
	}
	return all
}

// scaleWorkloads returns the loads of the comparison with a larger database.
func scaleWorkloads() []workload {
	var all []workload
	for _, k := range workloads() {
		switch k.name {
		case "patch", "get", "list", "page-1", "page-200", "bulk":
			k.contenders = scaled
			all = append(all, k)
		}
	}
	return append(all, workload{
		name: "search", what: "first page of 50 of a client's apps with a text in their names",
		contenders: scaled, run: peak(usualConnections, load.Search),
	})
}

func without(names []string, drop ...string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(drop, name) })
}

func workloadNames() (names []string) {
	for _, k := range append(workloads(), scaleWorkloads()...) {
		if !slices.Contains(names, k.name) {
			names = append(names, k.name)
		}
	}
	return names
}

// chosen returns the requested loads, with the contenders that were started.
func (l *harness) chosen() (chosen []workload) {
	all := workloads()
	if l.scale {
		all = scaleWorkloads()
	}
	if l.citus {
		all = citusWorkloads()
	}
	for _, k := range all {
		if len(l.workloads) > 0 && !slices.Contains(l.workloads, k.name) {
			continue
		}
		var there []string
		for _, name := range k.contenders {
			if l.find(name) != nil {
				there = append(there, name)
			}
			if name == "ours" {
				for _, c := range l.contenders {
					if _, ok := l.also[c.name]; ok {
						there = append(there, c.name)
					}
				}
			}
		}
		if len(there) > 0 {
			k.contenders = there
			chosen = append(chosen, k)
		}
	}
	return chosen
}

func (l *harness) plan(c *contender, forms []load.Form) load.Plan {
	return load.Plan{Base: c.base, Token: c.token, Forms: forms, Size: c.size}
}

// peak sends the next request on each connection as soon as the answer has arrived.
func peak(connections int, forms func(load.API) []load.Form) func(context.Context, *harness, *contender, int) (load.Result, error) {
	return func(ctx context.Context, l *harness, c *contender, seed int) (load.Result, error) {
		if c.pgbench != nil {
			if c.pgbench.Rows > 1 { // two such statements could deadlock
				return c.pgbench.Run(ctx, l.dir, 1, l.slice)
			}
			return c.pgbench.Run(ctx, l.dir, connections, l.slice)
		}
		return l.plan(c, forms(c.api)).Wrk(ctx, l.dir, connections, l.slice, seed)
	}
}

// fixed sends requests at the rate of the options.
func fixed(connections int, forms func(load.API) []load.Form) func(context.Context, *harness, *contender, int) (load.Result, error) {
	return func(ctx context.Context, l *harness, c *contender, _ int) (load.Result, error) {
		return l.plan(c, forms(c.api)).Vegeta(ctx, l.rate, connections, l.slice)
	}
}

// page requests one page of the large clients repeatedly.
func page(number int) func(context.Context, *harness, *contender, int) (load.Result, error) {
	cursors := map[string][]string{}
	return func(ctx context.Context, l *harness, c *contender, seed int) (load.Result, error) {
		if cursors[c.name] == nil {
			found, err := l.walk(ctx, c, number)
			if err != nil {
				return load.Result{}, err
			}
			cursors[c.name] = found
		}
		var forms []load.Form
		for n, cursor := range cursors[c.name] {
			forms = append(forms, load.Form{Weight: 1, Method: "GET", Path: largePage(c, n, cursor)})
		}
		return l.plan(c, forms).Wrk(ctx, l.dir, usualConnections, l.slice, seed)
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
func (l *harness) walk(ctx context.Context, c *contender, number int) ([]string, error) {
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
