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
		leave, back func(t *testing.T, l *Harness)
		noticed     bool // send requests meanwhile
	}{
		"killed":               {leave: killed, back: started, noticed: true},
		"killed and back":      {leave: killed, back: started},
		"restarted":            {leave: restarted, back: func(*testing.T, *Harness) {}},
		"refused":              {leave: func(_ *testing.T, l *Harness) { l.Proxy.Refuse() }, back: healed, noticed: true},
		"cut":                  {leave: func(_ *testing.T, l *Harness) { l.Proxy.Refuse() }, back: healed},
		"silent":               {leave: toxic("timeout", "upstream", "timeout", 0), back: healed, noticed: true},
		"silent for a moment":  {leave: toxic("timeout", "downstream", "timeout", 0), back: healed},
		"slower than requests": {leave: toxic("latency", "downstream", "latency", 60_000), back: healed, noticed: true},
		"reset":                {leave: toxic("reset_peer", "downstream", "timeout", 0), back: healed, noticed: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newHarness(t)
			for kind, first := range requestKinds(l) {
				var warm sync.WaitGroup
				for range 16 { // fill the pool with connections that will break
					warm.Go(func() { first() })
				}
				warm.Wait()
				away.leave(t, l)
				if away.noticed {
					checkAway(t, l)
				}
				away.back(t, l)
				await(t, "the database is back", func() bool { return answers(t.Context(), l) })
				if a := first(); a.status != http.StatusOK || a.problem() != "" {
					t.Errorf("%s, first after the database came back: %d %s %v", kind, a.status, a.body, a.err)
				}
			}
			if status := l.Server.Probe(t.Context(), "/readyz"); status != http.StatusOK {
				t.Errorf("/readyz: %d", status)
			}
		})
	}
}

func killed(_ *testing.T, l *Harness) { l.Cluster.Kill() }

func started(t *testing.T, l *Harness) {
	t.Helper()
	if err := l.Cluster.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func restarted(t *testing.T, l *Harness) {
	t.Helper()
	if err := l.Cluster.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func healed(t *testing.T, l *Harness) {
	t.Helper()
	if err := l.Proxy.Heal(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func toxic(kind, stream, attribute string, value int) func(*testing.T, *Harness) {
	return func(t *testing.T, l *Harness) {
		t.Helper()
		if err := l.Proxy.Add(kind, stream, map[string]int{attribute: value}); err != nil {
			t.Fatal(err)
		}
	}
}

// answers reports whether the database can be reached through the proxy.
func answers(ctx context.Context, l *Harness) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, l.Cluster.URL(l.Proxy.Addr(), "clientapps"))
	if err != nil {
		return false
	}
	return conn.Close(ctx) == nil
}

// requestKinds returns a request of each kind. Each succeeds at any time; the patch writes a new value each time.
func requestKinds(l *Harness) map[string]func() answer {
	load := l.Load(l.Server.Addr, 16, NewLedger())
	app, other := l.Fixture.Apps[0], l.Fixture.Apps[1]
	send := func(method, path string, body func(n int64) string) func() answer {
		return func() answer {
			return load.API.send(context.Background(), method, path, body(load.Number.Add(1)), "")
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

// checkAway sends one request of each kind at once. A write may be in doubt if the database went away during it.
func checkAway(t *testing.T, l *Harness) {
	t.Helper()
	var asking sync.WaitGroup
	for kind, send := range requestKinds(l) {
		asking.Go(func() {
			a := send()
			unknown := a.status == http.StatusInternalServerError && (kind == "patch" || kind == "bulk")
			if problem := a.problem(); problem != "" || a.status != http.StatusServiceUnavailable && !unknown {
				t.Errorf("%s without a database: %d %s %s %v", kind, a.status, a.body, problem, a.err)
			}
		})
	}
	asking.Go(func() {
		if status := l.Server.Probe(t.Context(), "/healthz"); status != http.StatusOK {
			t.Errorf("/healthz without a database: %d", status)
		}
		if status := l.Server.Probe(t.Context(), "/readyz"); status != http.StatusServiceUnavailable {
			t.Errorf("/readyz without a database: %d", status)
		}
	})
	asking.Wait()
}
