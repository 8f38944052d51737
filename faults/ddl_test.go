package faults

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestSchemaChangesUnderTraffic alters tables while clients write. Every request is served, although each change invalidates the plans
// of every connection. The database timeout is long, so that a busy machine does not fail the test.
func TestSchemaChangesUnderTraffic(t *testing.T) {
	t.Parallel()
	h, ledger := newHarness(t, "CLIENTAPPS_DATABASE_TIMEOUT=10s"), NewLedger()
	withLoad(t, h.Load(h.Server.Addr, 24, ledger), func() {
		for range 2 {
			for _, change := range SchemaChanges() {
				awaitWrites(t, ledger, *writes/60)
				alter(t, h, change)
			}
		}
		awaitWrites(t, ledger, *writes/60)
	})
	wantAllAnswered(t, ledger)
	checkLedger(t, ledger, h.Fixture)
}

// TestSchemaChangeWaits makes a schema change wait for a transaction that uses the table, and all requests wait behind the change. The
// change gives up in time and retries, as migrations do. The server has its default timeout; a write waits for a lock for half of it.
func TestSchemaChangeWaits(t *testing.T) {
	t.Parallel()
	h, ledger := newHarness(t, "CLIENTAPPS_DATABASE_TIMEOUT=5s"), NewLedger()
	withLoad(t, h.Load(h.Server.Addr, 24, ledger), func() {
		awaitWrites(t, ledger, *writes/60)
		conn, err := pgx.Connect(t.Context(), h.Fixture.databaseURL)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(context.Background()) }()
		if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE apps IN ACCESS SHARE MODE"); err != nil {
			t.Fatal(err)
		}
		altered := make(chan struct{})
		go func() {
			defer close(altered)
			alter(t, h, "ALTER TABLE apps ADD COLUMN extra text")
		}()
		time.Sleep(4 * time.Second) // longer than any write would wait
		select {
		case <-altered:
			t.Error("the change did not wait")
		default:
		}
		if _, err := conn.Exec(t.Context(), "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		<-altered
		awaitWrites(t, ledger, *writes/60)
	})
	wantAllAnswered(t, ledger)
	checkLedger(t, ledger, h.Fixture)
}

func alter(t *testing.T, h *Harness, change string) {
	t.Helper()
	if err := h.Alter(t.Context(), change); err != nil {
		t.Error(err)
	}
}

// wantAllAnswered checks that every request was served.
func wantAllAnswered(t *testing.T, ledger *Ledger) {
	t.Helper()
	for class, n := range ledger.Answers() {
		if class != "200" && class != "412" {
			t.Errorf("%d requests were answered %s", n, class)
		}
	}
}
