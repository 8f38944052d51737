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

// waitForShareQueue returns when this many writes wait for a share of the pool.
func waitForShareQueue(t *testing.T, s *store.Store, writes int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		have := store.SharesWaiting(s)
		if have == writes {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d writes wait for a share, want %d", have, writes)
		}
	}
}

// wantReason fails unless err is an UnavailableError with this reason.
func wantReason(t *testing.T, err error, want store.UnavailableReason) {
	t.Helper()
	if unavailable := (*store.UnavailableError)(nil); !errors.As(err, &unavailable) || unavailable.Reason() != want {
		t.Errorf("error is %v, want unavailable because of %s", err, want)
	}
}

// TestShareTimeout holds a client's share of the connections. A further write is unavailable, and the error says why.
func TestShareTimeout(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, storetest.SQLite(t))
	must(store.Share(t.Context(), s, idOf("A")))(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err := store.Share(ctx, s, idOf("A"))
	wantReason(t, err, store.ReasonShare)
	canceled, hangUp := context.WithCancel(t.Context())
	hangUp()
	if _, err := store.Share(canceled, s, idOf("A")); !errors.Is(err, context.Canceled) {
		t.Errorf("the error of a canceled request is %v", err)
	}
}

// TestOthersAreServedWhileOneClientWaits has more writes of one client wait for a locked row than there are connections. Requests of the
// other client are not delayed.
func TestOthersAreServedWhileOneClientWaits(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	s := openSeeded(t, url, storetest.Page())
	get(t, s, otherApp)
	db := storetest.SQL(t, url)
	holder := must(db.BeginTx(t.Context(), nil))(t)
	defer func() { _ = holder.Rollback() }()
	must(holder.ExecContext(t.Context(), "SELECT 1 FROM apps WHERE client_id = $1 AND id = $2 FOR UPDATE", pageApp.ClientID, pageApp.ID))(t)
	var wg sync.WaitGroup
	for range 24 {
		wg.Go(func() {
			if _, err := bulkSet(t.Context(), s, pageApp.ClientID, []uuid.UUID{pageApp.ID}, store.ColumnIsApproved, true, alice); err != nil {
				t.Error(err)
			}
		})
	}
	each := store.ShareOfClient(s)
	waitForLocks(t, db, each)
	waitForShareQueue(t, s, 24-each)

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	must(s.GetApp(ctx, otherApp))(t)
	must(s.UpdateApp(ctx, otherApp, store.Fields{store.ColumnLicenseCount: int32(1)}, alice, nil))(t)
	must(bulkSet(ctx, s, otherApp.ClientID, []uuid.UUID{otherApp.ID}, store.ColumnIsApproved, true, alice))(t)
	if err := holder.Rollback(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
}
