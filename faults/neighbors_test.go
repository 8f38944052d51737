package faults

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"
)

// mostWait bounds the 99th percentile of a quiet client's requests beside a noisy client.
const mostWait = 250 * time.Millisecond

// TestNeighbors runs a client that attacks in every way at once, beside a client that reads and writes its own apps. The quiet client is
// never refused and hardly waits, and the server stays ready.
func TestNeighbors(t *testing.T) { // not parallel: it times requests
	for name, open := range map[string]func(*testing.T) *Harness{
		"postgres": func(t *testing.T) *Harness { return newHarness(t) },
		"sqlite":   func(t *testing.T) *Harness { return mustStart(t)(NewSQLiteHarness(t.Context(), program, open(t))) },
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			// Other programs use the processors too, so the best of three rounds counts.
			wait := time.Hour
			for round := 0; round < 3 && wait >= mostWait; round++ {
				wait = min(wait, measureQuietClient(t, h))
			}
			if wait >= mostWait {
				t.Errorf("the 99th percentile of the quiet client's requests is %v", wait)
			}
		})
	}
}

// measureQuietClient runs a quiet client beside a noisy one and returns the 99th percentile of its request times.
func measureQuietClient(t *testing.T, h *Harness) time.Duration {
	t.Helper()
	each := len(h.Fixture.Apps) / clientCount
	noisy := &NoisyClient{Fixture: h.Fixture, Apps: h.Fixture.Apps[:each]}
	noisy.API = NewAPI(h.Server.Addr, tokenFor(t, h, noisy.Apps[0].Client), 256)
	noisy.Catalog = NewAPI(h.Server.Addr, h.Fixture.Token, 1)
	quiet := &QuietClient{Apps: h.Fixture.Apps[each : 2*each], Ledger: NewLedger()}
	quiet.API = NewAPI(h.Server.Addr, tokenFor(t, h, quiet.Apps[0].Client), 4)

	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	var running sync.WaitGroup
	running.Go(func() {
		if err := noisy.Run(ctx, h.Cluster != nil); err != nil {
			t.Error(err)
		}
	})
	pause(ctx, time.Second) // until the attack is running
	running.Go(func() { quiet.Run(ctx) })
	for ctx.Err() == nil {
		if status := h.Server.Probe(t.Context(), "/readyz"); status != http.StatusOK {
			t.Errorf("/readyz: %d", status)
		}
		pause(ctx, 500*time.Millisecond)
	}
	running.Wait()

	wait := quiet.Percentile(0.99)
	t.Logf("the noisy client got %v", noisy.Answers())
	t.Logf("the quiet client: p50 %v, p99 %v; %v", quiet.Percentile(0.5), wait, quiet.Ledger)
	for _, problem := range quiet.Ledger.Problems() {
		t.Error(problem)
	}
	if answers := quiet.Ledger.Answers(); answers["200"] != quiet.Ledger.Requests() || answers["200"] == 0 {
		t.Errorf("the quiet client got %v", answers)
	}
	if answers := noisy.Answers(); answers["401"] == 0 || answers["400"] == 0 || answers["200"] == 0 {
		t.Errorf("the noisy client got no 200, 400 or 401: %v", answers)
	}
	return wait
}

// tokenFor creates a token that covers one client.
func tokenFor(t *testing.T, h *Harness, client string) string {
	t.Helper()
	token, err := h.Server.Run(t.Context(), "", "token", "create", "--name", "neighbors", "--client", client,
		"--scope", "apps:read", "--scope", "apps:write")
	if err != nil {
		t.Fatal(err)
	}
	return token
}
