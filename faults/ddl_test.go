package faults

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestSchemaChangesUnderTraffic alters tables while clients write. Nobody notices, although each change makes the plans of
// every connection stale. The server may take its time: it is not about a busy machine.
func TestSchemaChangesUnderTraffic(t *testing.T) {
	t.Parallel()
	l, ledger := newLab(t, "CLIENTAPPS_DATABASE_TIMEOUT=10s"), NewLedger()
	under(t, l.Load(l.Server.Addr, 24, ledger), func() {
		for range 2 {
			for _, change := range SchemaChanges() {
				after(t, ledger, *writes/60)
				alter(t, l, change)
			}
		}
		after(t, ledger, *writes/60)
	})
	wantAllAnswered(t, ledger)
	checkLedger(t, ledger, l.World)
}

// TestSchemaChangeWaits has a change wait for a transaction that has the table, and everybody behind the change: it gives up
// in time and begins anew, as migrations do. The server has its default timeout, and a write waits for a lock for half of it.
func TestSchemaChangeWaits(t *testing.T) {
	t.Parallel()
	l, ledger := newLab(t, "CLIENTAPPS_DATABASE_TIMEOUT=5s"), NewLedger()
	under(t, l.Load(l.Server.Addr, 24, ledger), func() {
		after(t, ledger, *writes/60)
		conn, err := pgx.Connect(t.Context(), l.World.databaseURL)
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
			alter(t, l, "ALTER TABLE apps ADD COLUMN extra text")
		}()
		time.Sleep(4 * time.Second) // longer than any write would wait
		select {
		case <-altered:
			t.Error("the change did not have to wait")
		default:
		}
		if _, err := conn.Exec(t.Context(), "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		<-altered
		after(t, ledger, *writes/60)
	})
	wantAllAnswered(t, ledger)
	checkLedger(t, ledger, l.World)
}

func alter(t *testing.T, l *Lab, change string) {
	t.Helper()
	if err := l.Alter(t.Context(), change); err != nil {
		t.Error(err)
	}
}

// wantAllAnswered fails when somebody was not served.
func wantAllAnswered(t *testing.T, ledger *Ledger) {
	t.Helper()
	for class, n := range ledger.Answers() {
		if class != "200" && class != "412" {
			t.Errorf("%d requests were answered %s", n, class)
		}
	}
}
