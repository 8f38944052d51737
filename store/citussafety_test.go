//go:build citus

package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// These run with make test-citus only.

// TestCitusAddsDoNotDeadlock adds apps through all machines while catalog apps get new names.
func TestCitusAddsDoNotDeadlock(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	const count = `SELECT sum(result::bigint)::bigint FROM
		run_command_on_all_nodes('SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()')`
	db := storetest.SQL(t, url)
	before := queryOne[int64](t, db, count)
	var entries []uuid.UUID
	var data store.Dataset
	for i := range 20 {
		data.CatalogApps = append(data.CatalogApps, catalogApp(fmt.Sprintf("Entry %d", i)))
		entries = append(entries, idOf(fmt.Sprintf("Entry %d", i)))
	}
	for i := range 8 {
		data.Clients = append(data.Clients, client(fmt.Sprintf("Adder %d", i)))
	}
	openSeeded(t, url, data)
	var adding, renaming sync.WaitGroup
	for i, node := range append(storetest.Workers(url), url, url) {
		s := openWithoutPolling(t, node, func(cfg *store.Config) { cfg.BatchByClient = true })
		for _, c := range data.Clients[2*i : 2*i+2] {
			adding.Go(func() {
				for _, entry := range entries {
					if _, err := s.AddApp(t.Context(), c.ID, entry, nil, alice); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	s := openWithoutPolling(t, url)
	renaming.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			name := store.Fields{store.ColumnCanonicalName: fmt.Sprintf("Renamed %d", n)}
			if _, err := s.UpdateCatalogApp(t.Context(), entries[n%len(entries)], name, nil, alice, nil); err != nil {
				t.Error(err)
			}
		}
	})
	adding.Wait()
	stop()
	renaming.Wait()
	if n := queryOne[int64](t, db, count) - before; n > 0 {
		t.Errorf("%d deadlocks", n)
	}
	const stale = "SELECT count(*) FROM apps JOIN catalog_apps ON catalog_apps.id = catalog_app_id WHERE apps.name_key <> catalog_apps.name_key"
	if n := queryOne[int64](t, db, stale); n > 0 {
		t.Errorf("%d apps have another name than their catalog app", n)
	}
}

// TestCitusSuspensionWaits suspends a client while a transaction that another machine has begun writes to an app.
func TestCitusSuspensionWaits(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	s := openSeeded(t, url, storetest.Page())
	for _, node := range append(storetest.Workers(url), url) {
		must(s.UpdateClient(t.Context(), pageApp.ClientID, store.Fields{store.ColumnStatus: store.StatusActive}, alice, nil))(t)
		tx := holdApp(t, node)
		done := make(chan error, 1)
		go func() {
			_, err := s.UpdateClient(t.Context(), pageApp.ClientID, store.Fields{store.ColumnStatus: store.StatusSuspended}, alice, nil)
			done <- err
		}()
		select {
		case err := <-done:
			t.Errorf("a writer through %s was not waited for: %v", node, err)
		case <-time.After(time.Second):
			must(0, tx.Commit())(t)
			must(0, <-done)(t)
		}
	}
}

// TestCitusFence ends the process that got a patch while another machine executes it. It must not be written twice, nor later.
func TestCitusFence(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	openSeeded(t, url, storetest.Page())
	for n, node := range append(storetest.Workers(url), url) {
		s := openWithoutPolling(t, node, func(cfg *store.Config) { cfg.BatchByClient = true })
		tx := holdApp(t, url)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		done := make(chan error, 1)
		go func() {
			fields := store.Fields{store.ColumnLicenseCount: int32(n + 1)}
			_, err := s.UpdateApp(ctx, pageApp, fields, inDoubtActor, nil)
			done <- err
		}()
		time.Sleep(300 * time.Millisecond)
		const end = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'
			AND pid <> pg_backend_pid() AND application_name NOT LIKE 'citus%' AND backend_type = 'client backend'`
		_, err := storetest.SQL(t, node).ExecContext(t.Context(), end)
		must(0, err)(t)
		refused := <-done
		cancel()
		must(0, tx.Rollback())(t)
		time.Sleep(100 * time.Millisecond)
		if written := inHistory(t, s); refused == nil || written != 0 {
			t.Errorf("through %s: %v, and written %d times", node, refused, written)
		}
	}
}

// holdApp returns a transaction that has locked an app.
func holdApp(t *testing.T, url string) *sql.Tx {
	t.Helper()
	tx := must(storetest.SQL(t, url).BeginTx(t.Context(), nil))(t)
	_, err := tx.ExecContext(t.Context(), "SELECT 1 FROM apps WHERE client_id = $1 AND id = $2 FOR UPDATE", pageApp.ClientID, pageApp.ID)
	return must(tx, err)(t)
}
