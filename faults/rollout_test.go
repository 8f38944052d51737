package faults

import (
	"context"
	"net/http"
	"testing"
	"time"
)

// TestServerDrains stops a server: for the drain delay it is not ready, but still serves, with Connection: close. It exits with 0.
func TestServerDrains(t *testing.T) {
	t.Parallel()
	h := mustStart(t)(NewSQLiteHarness(t.Context(), program, open(t), "CLIENTAPPS_DRAIN_DELAY=3s"))
	api := NewAPI(h.Server.Addr, h.Fixture.Token, 1)
	get := func() answer { return api.send(context.Background(), http.MethodGet, h.Fixture.Apps[0].path(), "", "") }
	if a := get(); a.status != http.StatusOK || a.closing {
		t.Errorf("before the shutdown: %+v", a)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- h.Server.Stop() }()
	await(t, "the server is not ready", func() bool { return h.Server.Probe(t.Context(), "/readyz") == http.StatusServiceUnavailable })
	if a := get(); a.status != http.StatusOK || !a.closing {
		t.Errorf("while it drains: %+v", a)
	}
	if status := h.Server.Probe(t.Context(), "/healthz"); status != http.StatusOK {
		t.Errorf("/healthz while it drains: %d", status)
	}
	if err := <-stopped; err != nil {
		t.Errorf("ended with %v", err)
	}
}

// TestRollingRestart restarts three servers behind a balancer, one after the other, at a constant rate of requests. Every request is
// served.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	h := newHarness(t, "CLIENTAPPS_DRAIN_DELAY=1s")
	servers := startServers(t, h, 3)
	balancer, err := NewBalancer(servers)
	if err != nil {
		t.Fatal(err)
	}
	ledger := NewLedger()
	load := h.Load(balancer.Addr(), 24, ledger)
	load.Pace = 100 * time.Millisecond
	withLoad(t, load, func() {
		for i, server := range servers {
			await(t, "the balancer uses the server", func() bool { return balancer.Ready(i) })
			awaitWrites(t, ledger, *writes/60)
			if err := server.Stop(); err != nil {
				t.Errorf("ended with %v", err)
			}
			if err := server.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		awaitWrites(t, ledger, *writes/60)
	})
	load.API.Close()
	balancer.Close()
	wantAllAnswered(t, ledger)
	checkLedger(t, ledger, h.Fixture)
}

// startServers returns n servers on the database of the harness, its own first.
func startServers(t *testing.T, h *Harness, n int) []*Server {
	t.Helper()
	servers := []*Server{h.Server}
	for len(servers) < n {
		s, err := h.AddServer()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		servers = append(servers, s)
	}
	return servers
}

// TestExpandedSchema expands the schema as a newer program would, while this one serves, as in a rollout. Then this program starts on
// the newer schema, as in a rollback.
func TestExpandedSchema(t *testing.T) {
	t.Parallel()
	h, ledger := newHarness(t), NewLedger()
	withLoad(t, h.Load(h.Server.Addr, 16, ledger), func() {
		awaitWrites(t, ledger, *writes/60)
		for _, statement := range []string{
			"ALTER TABLE apps ADD COLUMN newer text NOT NULL DEFAULT 'x'",
			"ALTER TABLE app_changes ADD COLUMN newer text",
			"ALTER TABLE clients ADD COLUMN newer integer NOT NULL DEFAULT 0",
			"CREATE TABLE newer (id uuid PRIMARY KEY)",
			"INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)",
		} {
			alter(t, h, statement)
		}
		awaitWrites(t, ledger, *writes/60)
		if status := h.Server.Probe(t.Context(), "/readyz"); status != http.StatusOK {
			t.Errorf("/readyz on a newer schema: %d", status)
		}
	})
	wantAllAnswered(t, ledger)
	if err := h.Server.Stop(); err != nil {
		t.Errorf("ended with %v", err)
	}
	if err := h.Server.Start(t.Context()); err != nil { // also runs migrations
		t.Fatal(err)
	}
	withLoad(t, h.Load(h.Server.Addr, 16, ledger), func() { awaitWrites(t, ledger, *writes/60) })
	wantAllAnswered(t, ledger)
	checkLedger(t, ledger, h.Fixture)
}
