package faults

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestDatabaseAway makes the database unreachable in several ways. Meanwhile every request gets a 503 or 500 of the contract, in time;
// /readyz is 503 and /healthz is 200. Afterwards the first request of each kind succeeds, although all connections broke and the server
// was not restarted.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]struct {
		breakDatabase, repair func(t *testing.T, h *Harness)
		noticed               bool // send requests meanwhile
	}{
		"killed":               {breakDatabase: killDatabase, repair: startDatabase, noticed: true},
		"killed and back":      {breakDatabase: killDatabase, repair: startDatabase},
		"restarted":            {breakDatabase: restartDatabase, repair: func(*testing.T, *Harness) {}},
		"refused":              {breakDatabase: func(_ *testing.T, h *Harness) { h.Proxy.Refuse() }, repair: healProxy, noticed: true},
		"cut":                  {breakDatabase: func(_ *testing.T, h *Harness) { h.Proxy.Refuse() }, repair: healProxy},
		"silent":               {breakDatabase: addToxic("timeout", "upstream", "timeout", 0), repair: healProxy, noticed: true},
		"silent for a moment":  {breakDatabase: addToxic("timeout", "downstream", "timeout", 0), repair: healProxy},
		"slower than requests": {breakDatabase: addToxic("latency", "downstream", "latency", 60_000), repair: healProxy, noticed: true},
		"reset":                {breakDatabase: addToxic("reset_peer", "downstream", "timeout", 0), repair: healProxy, noticed: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			for kind, first := range requestKinds(h) {
				var warm sync.WaitGroup
				for range 16 { // fill the pool with connections that will break
					warm.Go(func() { first() })
				}
				warm.Wait()
				away.breakDatabase(t, h)
				if away.noticed {
					checkUnavailable(t, h)
				}
				away.repair(t, h)
				await(t, "the database is back", func() bool { return answers(t.Context(), h) })
				if a := first(); a.status != http.StatusOK || a.problem() != "" {
					t.Errorf("%s, first after the database came back: %d %s %v", kind, a.status, a.body, a.err)
				}
			}
			if status := h.Server.Probe(t.Context(), "/readyz"); status != http.StatusOK {
				t.Errorf("/readyz: %d", status)
			}
		})
	}
}

func killDatabase(_ *testing.T, h *Harness) { h.Cluster.Kill() }

func startDatabase(t *testing.T, h *Harness) {
	t.Helper()
	if err := h.Cluster.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func restartDatabase(t *testing.T, h *Harness) {
	t.Helper()
	if err := h.Cluster.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func healProxy(t *testing.T, h *Harness) {
	t.Helper()
	if err := h.Proxy.Heal(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func addToxic(kind, stream, attribute string, value int) func(*testing.T, *Harness) {
	return func(t *testing.T, h *Harness) {
		t.Helper()
		if err := h.Proxy.Add(kind, stream, map[string]int{attribute: value}); err != nil {
			t.Fatal(err)
		}
	}
}

// answers reports whether the database can be reached through the proxy.
func answers(ctx context.Context, h *Harness) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, h.Cluster.URL(h.Proxy.Addr(), "clientapps"))
	if err != nil {
		return false
	}
	return conn.Close(ctx) == nil
}

// requestKinds returns a request of each kind. Each succeeds at any time; the patch writes a new value each time.
func requestKinds(h *Harness) map[string]func() answer {
	load := h.Load(h.Server.Addr, 16, NewLedger())
	app, other := h.Fixture.Apps[0], h.Fixture.Apps[1]
	send := func(method, path string, body func(n int64) string) func() answer {
		return func() answer {
			return load.API.send(context.Background(), method, path, body(load.Sequence.Add(1)), "")
		}
	}
	nothing := func(int64) string { return "" }
	return map[string]func() answer{
		"get":   send(http.MethodGet, app.path(), nothing),
		"patch": send(http.MethodPatch, app.path(), func(n int64) string { return fmt.Sprintf(`{"license_count":%d}`, n) }),
		"bulk":  send(http.MethodPost, "/v2/clients/"+app.Client+"/apps/approval", func(int64) string { return `{"app_ids":["` + other.ID + `"]}` }),
		"list":  send(http.MethodGet, "/v2/clients/"+app.Client+"/apps", nothing),
	}
}

// checkUnavailable sends one request of each kind at once. A write may be in doubt if the database went away during it.
func checkUnavailable(t *testing.T, h *Harness) {
	t.Helper()
	var sending sync.WaitGroup
	for kind, send := range requestKinds(h) {
		sending.Go(func() {
			a := send()
			unknown := a.status == http.StatusInternalServerError && (kind == "patch" || kind == "bulk")
			if problem := a.problem(); problem != "" || a.status != http.StatusServiceUnavailable && !unknown {
				t.Errorf("%s without a database: %d %s %s %v", kind, a.status, a.body, problem, a.err)
			}
		})
	}
	sending.Go(func() {
		if status := h.Server.Probe(t.Context(), "/healthz"); status != http.StatusOK {
			t.Errorf("/healthz without a database: %d", status)
		}
		if status := h.Server.Probe(t.Context(), "/readyz"); status != http.StatusServiceUnavailable {
			t.Errorf("/readyz without a database: %d", status)
		}
	})
	sending.Wait()
}
