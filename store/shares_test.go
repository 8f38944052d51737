package store_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// waiting returns when so many writes wait for a share of the pool.
func waiting(t *testing.T, s *store.Store, writes int) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		if have, _ := store.SharesWaiting(s); have == writes {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not %d writes are waiting", writes)
		}
	}
}

// wantReason fails unless err says that the database could not serve, and why.
func wantReason(t *testing.T, err error, want store.UnavailableReason) {
	t.Helper()
	if unavailable := (*store.UnavailableError)(nil); !errors.As(err, &unavailable) || unavailable.Reason() != want {
		t.Errorf("error is %v, want unavailable because of %s", err, want)
	}
}

func TestPoolShares(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, storetest.Postgres(t)) // eight connections
	each, most := store.Shares(s)
	if each != 2 || most != 6 {
		t.Fatalf("one client may have %d connections, all of them %d", each, most)
	}
	take := func(client string) func() { return must(store.Share(t.Context(), s, named(client)))(t) }
	first, second := take("A"), take("A")

	// Beyond its share a client waits, and nobody else does.
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err := store.Share(ctx, s, named("A"))
	wantReason(t, err, store.ReasonShare)
	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	if _, err := store.Share(gone, s, named("A")); !errors.Is(err, context.Canceled) {
		t.Errorf("for who has gone: %v", err)
	}
	others := []func(){take("B"), take("B"), take("C"), take("C")}

	// Who has the fewest is next, however many others have waited for longer.
	order := make(chan string, 5)
	var wg sync.WaitGroup
	wait := func(client string, n int) {
		wg.Go(func() {
			release, err := store.Share(t.Context(), s, named(client))
			if err != nil {
				t.Error(err)
				return
			}
			order <- client
			release()
		})
		waiting(t, s, n)
	}
	for n := range 3 {
		wait("A", n+1)
	}
	wait("D", 4)
	first()
	if next := <-order; next != "D" {
		t.Errorf("%s was next", next)
	}
	second()
	for _, release := range others {
		release()
	}
	wg.Wait()
	if waiting, holders := store.SharesWaiting(s); waiting != 0 || holders != 0 {
		t.Errorf("at the end %d wait and %d clients are remembered", waiting, holders)
	}
}

// TestPoolSharesGrantedAndGivenUp lets the time of those who wait end while they are granted what they wait for: nothing
// may be lost.
func TestPoolSharesGrantedAndGivenUp(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, storetest.SQLite(t))
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 200 {
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Microsecond)
				if release, err := store.Share(ctx, s, named("A")); err == nil {
					release()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if waiting, holders := store.SharesWaiting(s); waiting != 0 || holders != 0 {
		t.Errorf("at the end %d wait and %d clients are remembered", waiting, holders)
	}
	must(store.Share(t.Context(), s, named("A")))(t)()
}

// TestOthersAreServedWhileOneClientWaits: more writes of one client wait for a locked row than there are connections. The
// other client's requests do not notice.
func TestOthersAreServedWhileOneClientWaits(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	s := seeded(t, url, storetest.Page())
	get(t, s, otherApp)
	db := storetest.SQL(t, url)
	holder := must(db.BeginTx(t.Context(), nil))(t)
	defer func() { _ = holder.Rollback() }()
	must(holder.ExecContext(t.Context(), "SELECT 1 FROM apps WHERE id = $1 FOR UPDATE", pageApp.ID))(t)
	var wg sync.WaitGroup
	for range 24 {
		wg.Go(func() {
			if _, err := s.BulkSet(t.Context(), pageApp.ClientID, []uuid.UUID{pageApp.ID}, store.ColumnIsApproved, true, alice); err != nil {
				t.Error(err)
			}
		})
	}
	each, _ := store.Shares(s)
	waitForLocks(t, db, each)
	waiting(t, s, 24-each)

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	must(s.GetApp(ctx, otherApp))(t)
	must(s.UpdateApp(ctx, otherApp, store.Fields{store.ColumnLicenseCount: int32(1)}, alice, nil))(t)
	must(s.BulkSet(ctx, otherApp.ClientID, []uuid.UUID{otherApp.ID}, store.ColumnIsApproved, true, alice))(t)
	if err := holder.Rollback(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
}
