package faults

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// changes are what operators and migrations do to tables that are in use.
func changes() []string {
	return []string{
		"ALTER TABLE apps ADD COLUMN extra text",
		"ALTER TABLE catalog_state ADD COLUMN extra text",
		"CREATE INDEX extra_changes ON app_changes (request_id)",
		"ALTER TABLE apps ALTER COLUMN extra TYPE integer USING 0",
		"ALTER TABLE clients ADD COLUMN extra text",
		"ALTER TABLE apps ALTER COLUMN license_count TYPE bigint",
		"CREATE INDEX CONCURRENTLY extra_apps ON apps (license_count)",
		"ALTER TABLE catalog_apps ADD COLUMN extra text",
		"ALTER TABLE app_changes ADD COLUMN extra text",
		"ALTER TABLE apps ALTER COLUMN license_count TYPE integer",
		"DROP INDEX extra_changes, extra_apps",
		"ALTER TABLE apps DROP COLUMN extra",
		"ALTER TABLE app_changes DROP COLUMN extra",
		"ALTER TABLE clients DROP COLUMN extra",
		"ALTER TABLE catalog_state DROP COLUMN extra",
		"ALTER TABLE catalog_apps DROP COLUMN extra",
	}
}

// TestSchemaChangesUnderTraffic alters tables while clients write. Nobody notices, although each change makes the plans of
// every connection stale.
func TestSchemaChangesUnderTraffic(t *testing.T) {
	t.Parallel()
	l, ledger := newLab(t), NewLedger()
	under(t, l.Load(l.Server.Addr, 24, ledger), func() {
		for range 2 {
			for _, change := range changes() {
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
// in time and begins anew, as migrations do.
func TestSchemaChangeWaits(t *testing.T) {
	t.Parallel()
	l, ledger := newLab(t), NewLedger()
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
		time.Sleep(2 * DatabaseTimeout) // longer than anybody would wait
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

// alter changes the schema the way that the page on rollouts says: waiting for no longer than a second, again and again.
func alter(t *testing.T, l *Lab, change string) {
	t.Helper()
	statement := "SET lock_timeout = '1s'; " + change
	if strings.Contains(change, "CONCURRENTLY") {
		statement = change // no transaction, and nobody waits for it
	}
	await(t, change, func() bool {
		err := l.Cluster.Exec(t.Context(), "clientapps", statement)
		if err != nil && !strings.Contains(err.Error(), "55P03") && !strings.Contains(err.Error(), "40P01") {
			t.Error(err)
			return true
		}
		if err != nil {
			time.Sleep(time.Second) // for those who had to wait
		}
		return err == nil
	})
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
