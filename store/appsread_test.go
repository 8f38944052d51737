package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// TestReadsShareAStatement has reads wait while the table is locked: of several clients, of one app several times, of apps and clients that
// are not there. Each gets its own result, also when the connections of the waiting statements break.
func TestReadsShareAStatement(t *testing.T) {
	t.Parallel()
	for _, broken := range []bool{false, true} {
		t.Run(fmt.Sprintf("broken connections %t", broken), func(t *testing.T) {
			t.Parallel()
			eachBatching(t, func(t *testing.T, url string, s *store.Store) {
				keys := seedApps(t, s, 24)
				for round := 0; !readTogether(t, url, s, keys, broken); round++ {
					if round == 20 {
						t.Fatal("in no round more than eight reads shared a statement")
					}
				}
			})
		})
	}
}

// readTogether reads apps while the table is locked, and reports whether more than eight reads shared a statement.
func readTogether(t *testing.T, url string, s *store.Store, keys []store.AppKey, broken bool) (shared bool) {
	t.Helper()
	stranger := store.AppKey{ClientID: storetest.OtherClientID, ID: keys[0].ID}
	missing := store.AppKey{ClientID: storetest.ClientID, ID: uuid.New()}
	nobody := store.AppKey{ClientID: uuid.New(), ID: keys[0].ID}
	before := s.Stats().Reads
	release := lockTable(t, url)
	defer release()
	var wg sync.WaitGroup
	asked := slices.Repeat(append([]store.AppKey{stranger, missing, nobody}, keys...), 3)
	for _, key := range asked {
		wg.Go(func() {
			app, err := s.GetApp(t.Context(), key)
			gone := (*store.NotFoundError)(nil)
			switch {
			case key == nobody && (!errors.As(err, &gone) || gone.Kind != store.KindClient || gone.ID != nobody.ClientID),
				(key == stranger || key == missing) && (!errors.As(err, &gone) || gone.Kind != store.KindApp || gone.ID != key.ID),
				slices.Contains(keys, key) && (err != nil || app.ClientID != key.ClientID || app.ID != key.ID || app.Catalog == nil):
				t.Errorf("%v is %+v, %v", key, app, err)
			}
		})
	}
	eventually(t, "every read in a statement or queued", func() bool {
		now := s.Stats().Reads
		return int(now.Served-before.Served)+now.Queued == len(asked)
	})
	if broken {
		must(storetest.SQL(t, url).ExecContext(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`))(t)
	}
	release()
	wg.Wait()
	after := s.Stats().Reads
	if after.Queued != 0 || after.InFlight != 0 || after.Refused != 0 {
		t.Errorf("at the end: %+v", after)
	}
	return slices.Compare(after.Batches[4:], before.Batches[4:]) > 0 // of nine and more
}

// lockTable blocks reads and writes of all apps of a PostgreSQL database until release is called.
func lockTable(t *testing.T, url string) (release func()) {
	t.Helper()
	tx := must(storetest.SQL(t, url).BeginTx(t.Context(), nil))(t)
	must(tx.ExecContext(t.Context(), "LOCK TABLE apps"))(t)
	return sync.OnceFunc(func() { _ = tx.Rollback() })
}

// TestReadGivenUp has the contexts of reads end while the table is locked: of a read that is alone, of one that shares a statement, and of
// one that is queued. Each returns without its result; another one, which shares their statement, gets its own.
func TestReadGivenUp(t *testing.T) {
	t.Parallel()
	eachBatching(t, func(t *testing.T, url string, s *store.Store) {
		keys := seedApps(t, s, 4)
		must(s.GetApp(t.Context(), keys[0]))(t)
		release := lockTable(t, url)
		defer release()
		patient := make(chan error, 1)
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				hasDeadline := i%2 == 0
				if hasDeadline {
					ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
				} else {
					time.AfterFunc(100*time.Millisecond, cancel)
				}
				defer cancel()
				_, err := s.GetApp(ctx, keys[i%len(keys)])
				if unavailable := (*store.UnavailableError)(nil); err == nil || errors.As(err, &unavailable) != hasDeadline {
					t.Errorf("a read that was given up, with a deadline %t: %v", hasDeadline, err)
				}
			})
		}
		go func() {
			_, err := s.GetApp(t.Context(), keys[3])
			patient <- err
		}()
		wg.Wait() // while the table is locked
		release()
		if err := <-patient; err != nil {
			t.Error(err)
		}
	})
}
