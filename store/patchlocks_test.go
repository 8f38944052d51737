package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// lockRows locks rows of apps in another transaction until release is called.
func lockRows(t *testing.T, db *sql.DB, keys ...store.AppKey) (release func()) {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	for _, key := range keys {
		if err == nil {
			_, err = tx.ExecContext(t.Context(), "SELECT 1 FROM apps WHERE client_id = $1 AND id = $2 FOR UPDATE", key.ClientID, key.ID)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return sync.OnceFunc(func() { _ = tx.Rollback() })
}

// eachBatching runs a test on PostgreSQL with batches of all clients and with batches of one client each. Citus needs the latter.
func eachBatching(t *testing.T, test func(t *testing.T, url string, s *store.Store)) {
	t.Helper()
	for name, byClient := range map[string]bool{"of all clients": false, "by client": true} {
		if storetest.OnCitus() && !byClient {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := storetest.Postgres(t)
			test(t, url, storetest.Open(t, url, withLongLockTimeout, func(c *store.Config) { c.BatchByClient = byClient }))
		})
	}
}

// patchFor patches each app repeatedly until ctx ends, and returns how long each patch took, shortest first.
func patchFor(ctx context.Context, t *testing.T, s *store.Store, keys []store.AppKey) []time.Duration {
	t.Helper()
	took := make([][]time.Duration, len(keys))
	var all sync.WaitGroup
	for i, key := range keys {
		all.Go(func() {
			for n := int32(1); ctx.Err() == nil; n++ {
				begun := time.Now()
				by := store.Actor{RequestID: fmt.Sprintf("%d-%d", i, n)}
				if _, err := s.UpdateApp(t.Context(), key, store.Fields{store.ColumnLicenseCount: n}, by, nil); err != nil {
					t.Errorf("an app that is not locked: %v", err)
					return
				}
				took[i] = append(took[i], time.Since(begun))
			}
		})
	}
	all.Wait()
	return slices.Sorted(slices.Values(slices.Concat(took...)))
}

// maxUnblocked is far longer than a patch takes while another row is locked, and far shorter than it would wait for the row.
const maxUnblocked = 10 * time.Second

// TestLockedRowDelaysNoOtherPatch patches apps while the row of another app is locked. Patches of the locked app wait. No other patch
// does, whether it shares a batch with one of them or not.
func TestLockedRowDelaysNoOtherPatch(t *testing.T) {
	t.Parallel()
	eachBatching(t, func(t *testing.T, url string, s *store.Store) {
		keys := seedApps(t, s, 33)
		locked, others := keys[2], slices.Concat(keys[3:], keys[:2])
		release := lockRows(t, storetest.SQL(t, url), locked)
		defer release()
		ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
		defer stop()
		answered := make(chan error, 4)
		for i := range cap(answered) {
			go func() {
				time.Sleep(time.Duration(i) * 100 * time.Millisecond) // while other patches are in flight
				patient, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				_, err := s.UpdateApp(patient, locked, store.Fields{store.ColumnLicenseCount: int32(100 + i)}, store.Actor{RequestID: fmt.Sprint("locked ", i)}, nil)
				answered <- err
			}()
		}
		took := patchFor(ctx, t, s, others)
		if len(answered) > 0 {
			t.Errorf("a patch of the locked app was answered: %v", <-answered)
		}
		release()
		for range cap(answered) {
			if err := <-answered; err != nil {
				t.Errorf("the locked app: %v", err)
			}
		}
		t.Logf("%d patches while a row was locked: p50 %v, p99 %v, the longest %v",
			len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
		if longest := took[len(took)-1]; longest > maxUnblocked {
			t.Errorf("a patch of an app that was not locked took %v", longest)
		}
	})
}

// TestLockedPatchIsRefused patches a locked app with a deadline. The patch fails at the deadline and is never written.
func TestLockedPatchIsRefused(t *testing.T) {
	t.Parallel()
	eachBatching(t, func(t *testing.T, url string, s *store.Store) {
		keys := seedApps(t, s, 8)
		release := lockRows(t, storetest.SQL(t, url), keys[2])
		defer release()
		load, stop := context.WithCancel(t.Context())
		var others sync.WaitGroup
		others.Go(func() { patchFor(load, t, s, keys[3:]) })
		var refused sync.WaitGroup
		for i := range 6 {
			refused.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
				defer cancel()
				_, err := s.UpdateApp(ctx, keys[2], store.Fields{store.ColumnLicenseCount: int32(i)}, store.Actor{RequestID: fmt.Sprint(i)}, nil)
				if unavailable := (*store.UnavailableError)(nil); !errors.As(err, &unavailable) && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("ended with %v", err)
				}
			})
		}
		refused.Wait()
		release()
		stop()
		others.Wait()
		if app, err := s.GetApp(t.Context(), keys[2]); err != nil || app.Version != 1 || app.LicenseCount != nil {
			t.Errorf("a refused patch was written: %+v, %v", app, err)
		}
	})
}

// TestManyLockedRows locks more apps of a client than there are connections. Neither its other apps nor another client have to wait.
func TestManyLockedRows(t *testing.T) {
	t.Parallel()
	eachBatching(t, func(t *testing.T, url string, s *store.Store) {
		keys := seedApps(t, s, 40)
		locked, others := keys[4:36], slices.Concat(keys[36:], keys[:4]) // keys[1] is another client's
		release := lockRows(t, storetest.SQL(t, url), locked...)
		defer release()
		ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
		defer stop()
		var waiting sync.WaitGroup
		for _, key := range locked {
			waiting.Go(func() {
				for ctx.Err() == nil {
					bounded, cancel := context.WithTimeout(ctx, 700*time.Millisecond)
					if _, err := s.UpdateApp(bounded, key, store.Fields{store.ColumnIsFavorite: true}, store.Actor{RequestID: "r"}, nil); err == nil {
						t.Error("a locked app was written")
					}
					cancel()
				}
			})
		}
		took := patchFor(ctx, t, s, others)
		waiting.Wait()
		t.Logf("%d patches while %d rows were locked: p50 %v, p99 %v, the longest %v",
			len(took), len(locked), took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
		if longest := took[len(took)-1]; longest > maxUnblocked {
			t.Errorf("a patch of an app that was not locked took %v", longest)
		}
	})
}
