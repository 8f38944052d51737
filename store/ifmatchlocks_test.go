package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// conditionalWrites returns the writes of the page's app that take a tag. The tag depends on the catalog.
func conditionalWrites(t *testing.T) map[string]func(s *store.Store, match *store.IfMatch) error {
	t.Helper()
	return map[string]func(s *store.Store, match *store.IfMatch) error{
		"UpdateApp": func(s *store.Store, match *store.IfMatch) error {
			_, err := s.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnLicenseCount: int32(7)}, alice, match)
			return err
		},
		"RemoveApp": func(s *store.Store, match *store.IfMatch) error {
			return s.RemoveApp(t.Context(), pageApp, alice, match)
		},
	}
}

// TestMatchWhileWaiting changes the catalog, on which the tag depends, while a conditional write waits for its row. The write is refused.
// Neither the change of the catalog nor another client's conditional write waits for it.
func TestMatchWhileWaiting(t *testing.T) {
	t.Parallel()
	for name, write := range conditionalWrites(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := storetest.Postgres(t)
			s := openSeeded(t, url, storetest.Page(), withLongLockTimeout)
			db := storetest.SQL(t, url)
			match := &store.IfMatch{Tags: []string{get(t, s, pageApp).ETag()}}
			release := lockApp(t, db, pageApp)
			written := make(chan error, 1)
			go func() { written <- write(s, match) }()
			waitForLocks(t, db, 1)

			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			must(s.UpdateCatalogApp(ctx, storetest.CatalogID, store.Fields{store.ColumnType: "web"}, nil, alice, nil))(t)
			for n := range 20 {
				other := &store.IfMatch{Tags: []string{get(t, s, otherApp).ETag()}}
				must(s.UpdateApp(ctx, otherApp, store.Fields{store.ColumnLicenseCount: int32(n)}, alice, other))(t)
				must(s.UpdateVendor(ctx, storetest.VendorID, store.Fields{store.ColumnName: fmt.Sprint(n)}, alice, nil))(t)
			}
			select {
			case err := <-written:
				t.Fatalf("the write did not wait: %v", err)
			default:
			}
			release()
			wantError(t, <-written, &store.PreconditionError{})
			if got := get(t, s, pageApp); got.Version != 1 {
				t.Errorf("the refused write wrote %s", asJSON(t, got))
			}
		})
	}
}

// TestMatchGetsItsRow has a conditional write wait for its row. It succeeds when the row is released unchanged.
func TestMatchGetsItsRow(t *testing.T) {
	t.Parallel()
	for name, write := range conditionalWrites(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := storetest.Postgres(t)
			s := openSeeded(t, url, storetest.Page(), withLongLockTimeout)
			db := storetest.SQL(t, url)
			match := &store.IfMatch{Tags: []string{get(t, s, pageApp).ETag()}}
			release := lockApp(t, db, pageApp)
			written := make(chan error, 1)
			go func() { written <- write(s, match) }()
			for deadline := time.Now().Add(time.Minute); queryOne[int](t, db, onAllMachines(awaitsApp)) == 0; {
				if time.Now().After(deadline) {
					t.Fatal("the write does not wait for the row without writing it")
				}
			}
			release()
			if err := <-written; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRenameWhileMatchWaits renames a catalog app while conditional writes of its apps run. A rename locks the rows and then the catalog, a
// write the catalog and then a row. No call waits for long, and none fails.
func TestRenameWhileMatchWaits(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	s := openSeeded(t, url, storetest.Page(), withLongLockTimeout)
	other := openWithoutPolling(t, url, withLongLockTimeout)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var writers sync.WaitGroup
	for _, key := range []store.AppKey{pageApp, otherApp} {
		for _, from := range []*store.Store{s, other} {
			writers.Go(func() {
				for n := int32(0); ctx.Err() == nil; n++ {
					seen, err := from.GetApp(t.Context(), key)
					if err == nil {
						match := &store.IfMatch{Tags: []string{seen.ETag()}}
						_, err = from.UpdateApp(t.Context(), key, store.Fields{store.ColumnLicenseCount: n}, alice, match)
					}
					if changed := (*store.PreconditionError)(nil); err != nil && !errors.As(err, &changed) {
						t.Error(err)
					}
				}
			})
		}
	}
	for n := range 30 {
		fields := store.Fields{store.ColumnCanonicalName: fmt.Sprintf("Slack %d", n)}
		must(s.UpdateCatalogApp(t.Context(), storetest.CatalogID, fields, nil, alice, nil))(t)
	}
	stop()
	writers.Wait()
	if deadlocks := queryOne[int](t, storetest.SQL(t, url), "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"); deadlocks != 0 {
		t.Errorf("%d deadlocks", deadlocks)
	}
}

// awaitsApp counts the statements that wait for a row of apps without writing it.
const awaitsApp = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
	AND query LIKE 'SELECT%apps%FOR NO KEY UPDATE%'`

// withLongLockTimeout keeps waits for locks from timing out on a slow machine.
func withLongLockTimeout(cfg *store.Config) { cfg.LockTimeout = time.Minute }

// lockApp locks the row of an app until release is called or the test ends.
func lockApp(t *testing.T, db *sql.DB, key store.AppKey) (release func()) {
	t.Helper()
	tx := must(db.BeginTx(t.Context(), nil))(t)
	must(tx.ExecContext(t.Context(), "SELECT 1 FROM apps WHERE client_id = $1 AND id = $2 FOR UPDATE", key.ClientID, key.ID))(t)
	release = sync.OnceFunc(func() {
		if err := tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
			t.Error(err)
		}
	})
	t.Cleanup(release)
	return release
}
