package faults

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"
)

// mostWait is the 99th percentile that another client's requests may come to while one does its worst.
const mostWait = 250 * time.Millisecond

// TestNeighbors has one client do its worst, in every way at once, while another reads and writes its own apps. The other
// is never refused and hardly waits, and the server stays ready.
func TestNeighbors(t *testing.T) { // not parallel: it times requests
	for name, open := range map[string]func(*testing.T) *Lab{
		"postgres": func(t *testing.T) *Lab { return newLab(t) },
		"sqlite":   func(t *testing.T) *Lab { return ready(t)(NewSQLiteLab(t.Context(), program, open(t))) },
	} {
		t.Run(name, func(t *testing.T) {
			l := open(t)
			// Whatever else runs here takes the processors as well, so the best of three rounds counts.
			wait := time.Hour
			for round := 0; round < 3 && wait >= mostWait; round++ {
				wait = min(wait, besideNuisance(t, l))
			}
			if wait >= mostWait {
				t.Errorf("the 99th percentile of the neighbor's requests is %v", wait)
			}
		})
	}
}

// besideNuisance runs a neighbor beside a nuisance and returns the 99th percentile of what its requests took.
func besideNuisance(t *testing.T, l *Lab) time.Duration {
	t.Helper()
	each := len(l.World.Apps) / clients
	nuisance := &Nuisance{World: l.World, Apps: l.World.Apps[:each]}
	nuisance.API = NewAPI(l.Server.Addr, tokenFor(t, l, nuisance.Apps[0].Client), 256)
	nuisance.Catalog = NewAPI(l.Server.Addr, l.World.Token, 1)
	neighbor := &Neighbor{Apps: l.World.Apps[each : 2*each], Ledger: NewLedger()}
	neighbor.API = NewAPI(l.Server.Addr, tokenFor(t, l, neighbor.Apps[0].Client), 4)

	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	var running sync.WaitGroup
	running.Go(func() {
		if err := nuisance.Run(ctx, l.Cluster != nil); err != nil {
			t.Error(err)
		}
	})
	pause(ctx, time.Second) // until everything is under way
	running.Go(func() { neighbor.Run(ctx) })
	for ctx.Err() == nil {
		if status := l.Server.Probe(t.Context(), "/readyz"); status != http.StatusOK {
			t.Errorf("/readyz: %d", status)
		}
		pause(ctx, 500*time.Millisecond)
	}
	running.Wait()

	wait := neighbor.Percentile(0.99)
	t.Logf("the nuisance was answered %v", nuisance.Answers())
	t.Logf("the neighbor: p50 %v, p99 %v; %v", neighbor.Percentile(0.5), wait, neighbor.Ledger)
	for _, problem := range neighbor.Ledger.Problems() {
		t.Error(problem)
	}
	if answers := neighbor.Ledger.Answers(); answers["200"] != neighbor.Ledger.Requests() || answers["200"] == 0 {
		t.Errorf("the neighbor was answered %v", answers)
	}
	if answers := nuisance.Answers(); answers["401"] == 0 || answers["400"] == 0 || answers["200"] == 0 {
		t.Errorf("the nuisance did not do its worst: %v", answers)
	}
	return wait
}

// tokenFor makes a token that covers one client.
func tokenFor(t *testing.T, l *Lab, client string) string {
	t.Helper()
	token, err := l.Server.Run(t.Context(), "", "token", "create", "--name", "neighbors", "--client", client,
		"--scope", "apps:read", "--scope", "apps:write")
	if err != nil {
		t.Fatal(err)
	}
	return token
}
