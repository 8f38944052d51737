package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

const hookLease = 30 * time.Second

// awaitReadable waits until all changes that are there can be read: transactions of other tests hold the feed up.
func awaitReadable(t testing.TB, s *store.Store) {
	t.Helper()
	_, end, err := store.FeedRange(t.Context(), s)
	var horizon int64
	settled := storetest.Poll(func() bool {
		var again error
		horizon, _, again = store.FeedRange(t.Context(), s)
		err = errors.Join(err, again)
		return err != nil || horizon >= end
	})
	if err != nil || !settled {
		t.Fatalf("the feed stands still at %d of %d: %v", horizon, end, err)
	}
}

// setCount changes the license count of an app, and waits until the feed has that.
func setCount(t testing.TB, s *store.Store, key store.AppKey, count int32) {
	t.Helper()
	must(s.UpdateApp(t.Context(), key, store.Fields{store.ColumnLicenseCount: count}, writer, nil))(t)
	awaitReadable(t, s)
}

// claimOne marks and claims, and returns the one webhook that is due.
func claimOne(t testing.TB, s *store.Store, owner uuid.UUID) *store.Webhook {
	t.Helper()
	must(s.MarkWebhooks(t.Context()))(t)
	for _, status := range []string{store.WebhookActive, store.WebhookFailing} {
		if hooks := must(s.ClaimWebhooks(t.Context(), owner, status, 10, hookLease))(t); len(hooks) == 1 {
			return &hooks[0]
		} else if len(hooks) > 1 {
			t.Fatalf("%d webhooks are due", len(hooks))
		}
	}
	t.Fatal("no webhook is due")
	return nil
}

// wantIdle checks that no webhook is due.
func wantIdle(t testing.TB, what string, s *store.Store) {
	t.Helper()
	must(s.MarkWebhooks(t.Context()))(t)
	for _, status := range []string{store.WebhookActive, store.WebhookFailing} {
		if hooks := must(s.ClaimWebhooks(t.Context(), uuid.New(), status, 10, hookLease))(t); len(hooks) > 0 {
			t.Errorf("%s: %d webhooks are due", what, len(hooks))
		}
	}
}

// keepNext reads and keeps the next batch.
func keepNext(t testing.TB, s *store.Store, hook *store.Webhook) store.UndeliveredChanges {
	t.Helper()
	changes := must(s.ReadWebhook(t.Context(), hook, 2))(t)
	if len(changes.Rows) == 0 {
		t.Fatal("nothing is to be delivered")
	}
	if err := s.KeepWebhookBatch(t.Context(), hook, batchOf(t, changes), hookLease); err != nil {
		t.Fatal(err)
	}
	return changes
}

func batchOf(t testing.TB, changes store.UndeliveredChanges) store.WebhookBatch {
	t.Helper()
	body := must(json.Marshal(changes.Rows))(t)
	return store.WebhookBatch{ID: uuid.New(), Body: body, Key: changes.KeyAfter(len(changes.Rows) - 1), FirstChangedAt: changes.Rows[0].ChangedAt}
}

// attempt is an attempt to deliver a webhook's batch, which fails with an error if that is not empty.
func attempt(hook *store.Webhook, err string) store.WebhookAttempt {
	a := store.WebhookAttempt{DeliveryID: *hook.BatchID, Type: "app.changed", AttemptedAt: storetest.Now, Status: new(int32(200)), Outcome: "delivered"}
	if err != "" {
		a.Status, a.Error, a.Outcome = new(int32(500)), &err, "failed"
	}
	return a
}

// deliverUntil works like a server until each webhook has got as many changes, and then once more.
func deliverUntil(t testing.TB, s *store.Store, want map[uuid.UUID]int) map[uuid.UUID][]store.AppChange {
	t.Helper()
	got := map[uuid.UUID][]store.AppChange{}
	delivered := storetest.Poll(func() bool {
		have := true
		for id, n := range want {
			have = have && len(got[id]) >= n
		}
		deliverOnce(t, s, uuid.New(), got)
		return have
	})
	if !delivered {
		t.Fatalf("after a minute there is only %+v", got)
	}
	return got
}

// deliverOnce marks, claims and delivers what is due.
func deliverOnce(t testing.TB, s *store.Store, owner uuid.UUID, got map[uuid.UUID][]store.AppChange) {
	t.Helper()
	must(s.MarkWebhooks(t.Context()))(t)
	hooks := must(s.ClaimWebhooks(t.Context(), owner, store.WebhookActive, 100, hookLease))(t)
	for i := range hooks {
		for hook := &hooks[i]; ; {
			changes := must(s.ReadWebhook(t.Context(), hook, 2))(t)
			if len(changes.Rows) == 0 {
				if err := s.ReleaseWebhook(t.Context(), hook, &changes); err != nil {
					t.Error(err)
				}
				break
			}
			err := s.KeepWebhookBatch(t.Context(), hook, batchOf(t, changes), hookLease)
			if err == nil {
				got[hook.ID] = append(got[hook.ID], changes.Rows...)
				err = s.FinishWebhookAttempt(t.Context(), hook, attempt(hook, ""), store.WebhookNext{}, hookLease)
			}
			if err != nil {
				t.Error(err)
				break
			}
		}
	}
}

// wantValues checks the new values of changes.
func wantValues(t testing.TB, what string, rows []store.AppChange, want ...string) {
	t.Helper()
	var got []string
	for _, row := range rows {
		got = append(got, row.NewValue)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// hookTest runs a test on both databases with a clock.
func hookTest(t *testing.T, test func(t *testing.T, url string, s *store.Store, clock *storetest.Clock)) {
	t.Helper()
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		test(t, url, openSeeded(t, url, storetest.Page(), withClock(clock)), clock)
	})
}

// TestWebhookDelivers follows one webhook from idle through success and failure.
func TestWebhookDelivers(t *testing.T) {
	hookTest(t, func(t *testing.T, _ string, s *store.Store, clock *storetest.Clock) {
		ctx, owner := t.Context(), uuid.New()
		hook := newHook(t, s, &pageApp.ClientID, "license_count")
		wantIdle(t, "without changes", s)
		setCount(t, s, otherApp, 500)
		wantIdle(t, "with changes of others", s)
		must(s.UpdateApp(ctx, pageApp, store.Fields{store.ColumnIsFavorite: false}, writer, nil))(t)
		must(s.UpdateApp(ctx, pageApp, store.Fields{store.ColumnIsFavorite: true}, writer, nil))(t)
		awaitReadable(t, s)
		work := claimOne(t, s, owner)
		changes := must(s.ReadWebhook(ctx, work, 2))(t)
		if len(changes.Rows) != 0 || changes.More || changes.Lost {
			t.Errorf("of another field: %+v", changes)
		}
		if err := s.ReleaseWebhook(ctx, work, &changes); err != nil {
			t.Fatal(err)
		}
		wantIdle(t, "released", s)
		if now := must(s.GetWebhook(ctx, nil, hook.ID))(t); now.BehindSince != nil || now.DueAt != nil || now.Behind != 0 {
			t.Errorf("released: %+v", now)
		}
		for n := range 3 {
			setCount(t, s, pageApp, int32(501+n))
		}
		clock.Advance(time.Minute)
		work = claimOne(t, s, owner)
		wantValues(t, "the first batch", keepNext(t, s, work).Rows, "501", "502")
		if now := must(s.GetWebhook(ctx, nil, hook.ID))(t); now.Behind != 3 || !now.BehindSince.Equal(storetest.Now) || now.Status != store.WebhookActive {
			t.Errorf("with a batch: %+v", now)
		}
		first := *work.BatchID
		failedAt := clock.Now()
		again := clock.Now().Add(5 * time.Second)
		if err := s.FinishWebhookAttempt(ctx, work, attempt(work, "500 Internal Server Error"), store.WebhookNext{DueAt: again}, hookLease); err != nil {
			t.Fatal(err)
		}
		if now := must(s.GetWebhook(ctx, nil, hook.ID))(t); now.Status != store.WebhookFailing || *now.LastError != "500 Internal Server Error" || now.Failures != 1 ||
			!now.FailingSince.Equal(failedAt) || now.LeaseOwner != nil || work.Status != store.WebhookFailing || work.LeaseOwner != nil {
			t.Errorf("failing: %+v", now)
		}
		wantIdle(t, "before the next attempt", s)
		clock.Advance(5 * time.Second)
		work = claimOne(t, s, owner)
		if *work.BatchID != first || !strings.Contains(string(*work.Batch), `"501"`) || work.Failures != 1 {
			t.Errorf("the batch is another: %+v", work)
		}
		if err := s.FinishWebhookAttempt(ctx, work, attempt(work, ""), store.WebhookNext{}, hookLease); err != nil {
			t.Fatal(err)
		}
		if work.BatchID != nil || work.Batch != nil || work.Status != store.WebhookActive || work.LastError != nil || work.Failures != 0 || work.FailingSince != nil ||
			!work.LeaseUntil.Equal(clock.Now().Add(hookLease)) {
			t.Errorf("after a success: %+v", work)
		}
		wantValues(t, "the second batch", keepNext(t, s, work).Rows, "503") // with the same lease
		disable := store.WebhookNext{Disable: "410 Gone"}
		if err := s.FinishWebhookAttempt(ctx, work, attempt(work, "410"), disable, hookLease); err != nil {
			t.Fatal(err)
		}
		if now := must(s.GetWebhook(ctx, nil, hook.ID))(t); now.Status != store.WebhookDisabled || *now.LastError != "410 Gone" || now.Behind != 1 || now.BatchID == nil || now.DueAt != nil {
			t.Errorf("disabled: %+v", now)
		}
		must(s.UpdateWebhook(ctx, nil, hook.ID, store.Fields{store.ColumnStatus: store.WebhookActive}))(t)
		work = claimOne(t, s, owner)
		if work.Failures != 0 || work.LastError != nil || !strings.Contains(string(*work.Batch), `"503"`) {
			t.Errorf("active again: %+v", work)
		}
		if err := s.FinishWebhookAttempt(ctx, work, attempt(work, ""), store.WebhookNext{}, hookLease); err != nil {
			t.Fatal(err)
		}
		if list := must(s.ListWebhookDeliveries(ctx, nil, hook.ID, store.Page{Size: 10}))(t); list.Total != 4 {
			t.Errorf("%d attempts", list.Total)
		}
		if a := s.Stats().Webhooks.Attempts; a["delivered"] != 2 || a["failed"] != 2 {
			t.Errorf("%v", a)
		}
	})
}

// A change that is marked after a worker has read, and before it gives the webhook up, is not forgotten.
func TestWebhookChangesWhileReleased(t *testing.T) {
	hookTest(t, func(t *testing.T, _ string, s *store.Store, _ *storetest.Clock) {
		hook := newHook(t, s, &pageApp.ClientID, "license_count")
		must(s.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnIsFavorite: false}, writer, nil))(t)
		must(s.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnIsFavorite: true}, writer, nil))(t)
		awaitReadable(t, s)
		work := claimOne(t, s, uuid.New())
		changes := must(s.ReadWebhook(t.Context(), work, 2))(t)
		setCount(t, s, pageApp, 501)
		must(s.MarkWebhooks(t.Context()))(t)
		if err := s.ReleaseWebhook(t.Context(), work, &changes); err != nil {
			t.Fatal(err)
		}
		wantValues(t, "marked before the release", deliverUntil(t, s, map[uuid.UUID]int{hook.ID: 1})[hook.ID], "501")
		must(s.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnIsFavorite: false}, writer, nil))(t)
		awaitReadable(t, s)
		work = claimOne(t, s, uuid.New())
		changes = must(s.ReadWebhook(t.Context(), work, 2))(t)
		setCount(t, s, pageApp, 502)
		if err := s.ReleaseWebhook(t.Context(), work, &changes); err != nil {
			t.Fatal(err)
		}
		wantValues(t, "marked after the release", deliverUntil(t, s, map[uuid.UUID]int{hook.ID: 1})[hook.ID], "502")
	})
}

// Of two workers one gets a webhook, and the other when the lease is over. The batch is the same then.
func TestWebhookLease(t *testing.T) {
	hookTest(t, func(t *testing.T, url string, s *store.Store, clock *storetest.Clock) {
		ctx := t.Context()
		newHook(t, s, &pageApp.ClientID, "license_count")
		setCount(t, s, pageApp, 501)
		setCount(t, s, pageApp, 502)
		must(s.MarkWebhooks(ctx))(t)
		var running sync.WaitGroup
		var mu sync.Mutex
		var claimed []store.Webhook
		for range 8 {
			other := storetest.Open(t, url, withClock(clock))
			running.Go(func() {
				hooks, err := other.ClaimWebhooks(ctx, uuid.New(), store.WebhookActive, 10, hookLease)
				mu.Lock()
				defer mu.Unlock()
				if claimed = append(claimed, hooks...); err != nil {
					t.Error(err)
				}
			})
		}
		running.Wait()
		if len(claimed) != 1 {
			t.Fatalf("%d workers have the webhook", len(claimed))
		}
		first := &claimed[0]
		keepNext(t, s, first)
		clock.Advance(hookLease - time.Millisecond)
		wantIdle(t, "during the lease", s)
		clock.Advance(time.Millisecond)
		second := claimOne(t, s, uuid.New())
		if *second.BatchID != *first.BatchID || string(*second.Batch) != string(*first.Batch) {
			t.Error("the batch is another after a crash")
		}
		// The first worker comes late.
		late := attempt(first, "late")
		if err := s.FinishWebhookAttempt(ctx, first, late, store.WebhookNext{DueAt: clock.Now().Add(time.Hour)}, hookLease); !errors.Is(err, store.ErrWebhookChanged) {
			t.Errorf("a failure of the first: %v", err)
		}
		if err := s.FinishWebhookAttempt(ctx, first, attempt(first, ""), store.WebhookNext{}, hookLease); !errors.Is(err, store.ErrWebhookChanged) {
			t.Errorf("a success of the first: %v", err)
		}
		if err := s.FinishWebhookAttempt(ctx, second, attempt(second, ""), store.WebhookNext{}, hookLease); !errors.Is(err, store.ErrWebhookChanged) {
			t.Errorf("a success of the second, after that: %v", err)
		}
		if err := s.ReleaseWebhook(ctx, first, nil); err != nil {
			t.Error(err)
		}
		third := claimOne(t, s, uuid.New())
		if changes := must(s.ReadWebhook(ctx, third, 2))(t); len(changes.Rows) != 0 {
			t.Errorf("delivered again: %+v", changes.Rows)
		}
		if err := s.ReleaseWebhook(ctx, third, nil); err != nil {
			t.Error(err)
		}
		claimOne(t, s, uuid.New()) // stays due
		if n := queryOne[int](t, storetest.SQL(t, url), "SELECT count(*) FROM webhook_deliveries"); n != 3 {
			t.Errorf("%d attempts", n)
		}
	})
}

// TestWebhookChangesMeanwhile changes a webhook in each way between two steps of a worker.
func TestWebhookChangesMeanwhile(t *testing.T) {
	hookTest(t, func(t *testing.T, _ string, s *store.Store, clock *storetest.Clock) {
		ctx := t.Context()
		hook := newHook(t, s, &pageApp.ClientID, "license_count")
		setCount(t, s, pageApp, 501)
		// Fields between reading and keeping.
		work := claimOne(t, s, uuid.New())
		changes := must(s.ReadWebhook(ctx, work, 2))(t)
		must(s.UpdateWebhook(ctx, nil, hook.ID, store.Fields{store.ColumnFields: "is_favorite license_count"}))(t)
		if err := s.KeepWebhookBatch(ctx, work, batchOf(t, changes), hookLease); !errors.Is(err, store.ErrWebhookChanged) {
			t.Errorf("fields before a batch: %v", err)
		}
		// The lease was given up. Fields do not change a batch that is fixed.
		work = claimOne(t, s, uuid.New())
		keepNext(t, s, work)
		must(s.UpdateWebhook(ctx, nil, hook.ID, store.Fields{store.ColumnFields: "app", store.ColumnURL: "https://two.example.com"}))(t)
		// A failure at the old address is tried at once at the new one, and disables nothing.
		if err := s.FinishWebhookAttempt(ctx, work, attempt(work, "410"), store.WebhookNext{Disable: "410"}, hookLease); err != nil {
			t.Errorf("another URL during an attempt: %v", err)
		}
		work = claimOne(t, s, uuid.New())
		if work.URL != "https://two.example.com" || work.Failures != 1 || work.Batch == nil {
			t.Errorf("%+v", work)
		}
		// Active while it fails: three days begin anew.
		clock.Advance(time.Second)
		failing := must(s.UpdateWebhook(ctx, nil, hook.ID, store.Fields{store.ColumnStatus: store.WebhookActive}))(t)
		if failing.Status != store.WebhookFailing || failing.Failures != 0 || !failing.FailingSince.Equal(clock.Now()) || !failing.DueAt.Equal(clock.Now()) {
			t.Errorf("%+v", failing)
		}
		// Disabled during an attempt that succeeds.
		must(s.UpdateWebhook(ctx, nil, hook.ID, store.Fields{store.ColumnStatus: store.WebhookDisabled}))(t)
		if err := s.FinishWebhookAttempt(ctx, work, attempt(work, ""), store.WebhookNext{}, hookLease); !errors.Is(err, store.ErrWebhookChanged) {
			t.Errorf("disabled during an attempt: %v", err)
		}
		if now := must(s.GetWebhook(ctx, nil, hook.ID))(t); now.Status != store.WebhookDisabled || now.BatchID != nil || now.DueAt != nil || now.Behind != 0 {
			t.Errorf("%+v", now)
		}
		// Replay during an attempt.
		must(s.UpdateWebhook(ctx, nil, hook.ID, store.Fields{store.ColumnStatus: store.WebhookActive, store.ColumnFields: "license_count"}))(t)
		setCount(t, s, pageApp, 502)
		work = claimOne(t, s, uuid.New())
		wantValues(t, "before the replay", keepNext(t, s, work).Rows, "502")
		old := *work.BatchID
		replayed := must(s.ReplayWebhook(ctx, nil, hook.ID, store.ChangeStart{After: &store.Position{SortKey: nonce(t, s), TieBreaker: hook.Key}}))(t)
		if replayed.Behind != 2 || replayed.BatchID != nil || replayed.Key != hook.Key {
			t.Errorf("%+v", replayed)
		}
		if err := s.FinishWebhookAttempt(ctx, work, attempt(work, ""), store.WebhookNext{}, hookLease); !errors.Is(err, store.ErrWebhookChanged) {
			t.Errorf("replayed during an attempt: %v", err)
		}
		work = claimOne(t, s, uuid.New())
		if wantValues(t, "after the replay", keepNext(t, s, work).Rows, "501", "502"); *work.BatchID == old {
			t.Error("the batch has the old id")
		}
		// Deleted during an attempt.
		if err := s.DeleteWebhook(ctx, nil, hook.ID); err != nil {
			t.Fatal(err)
		}
		if err := s.FinishWebhookAttempt(ctx, work, attempt(work, ""), store.WebhookNext{}, hookLease); !errors.Is(err, store.ErrWebhookChanged) {
			t.Errorf("deleted during an attempt: %v", err)
		}
		for name, err := range map[string]error{
			"keep": s.KeepWebhookBatch(ctx, work, batchOf(t, changes), hookLease), "release": s.ReleaseWebhook(ctx, work, &changes),
		} {
			if !errors.Is(err, store.ErrWebhookChanged) {
				t.Errorf("%s after it was deleted: %v", name, err)
			}
		}
	})
}

// nonce is that of the feed's positions.
func nonce(t testing.TB, s *store.Store) string {
	t.Helper()
	return must(s.ListAllChanges(t.Context(), everyClient, store.ChangeFilter{}, store.ChangeStart{}, 1))(t).Next.SortKey
}

// Webhooks that have nothing to deliver cost nothing, do not hold pruning up, and lose nothing.
func TestIdleWebhooks(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		var mu sync.Mutex
		count := 0
		clock := &storetest.Clock{}
		s := openSeeded(t, url, storetest.Page(), withClock(clock), func(cfg *store.Config) {
			cfg.OnStatement = func(statement string) {
				mu.Lock()
				defer mu.Unlock()
				if strings.Contains(statement, "webhook") || strings.Contains(statement, "app_changes") {
					count++
				}
			}
		})
		counted := func(do func()) int {
			mu.Lock()
			count = 0
			mu.Unlock()
			do()
			mu.Lock()
			defer mu.Unlock()
			return count
		}
		awaitReadable(t, s)
		hook := newHook(t, s, &pageApp.ClientID, "license_count")
		db := storetest.SQL(t, url)
		const more = 10_000
		for begin := 0; begin < more; begin += 1000 {
			var rows []string
			for n := range 1000 {
				rows = append(rows, fmt.Sprintf("('%s', '%s', 'x', '', 'active', 's', %s, %s, 1, %d, '%s', 0, 0)",
					uuid.New(), idOf(fmt.Sprint("client ", begin+n)), sqlTime(url), sqlTime(url), hook.Position, hook.Key))
			}
			must(db.ExecContext(t.Context(), "INSERT INTO webhooks (id, client_id, url, fields, status, secret, created_at, updated_at, version, "+
				"position, key, failures, marked) VALUES "+strings.Join(rows, ", ")))(t)
		}
		tick := func() {
			must(s.MarkWebhooks(t.Context()))(t)
			for _, status := range []string{store.WebhookActive, store.WebhookFailing} {
				for _, due := range must(s.ClaimWebhooks(t.Context(), uuid.New(), status, 100, hookLease))(t) {
					if due.ID != hook.ID {
						t.Errorf("%s is due", due.ID)
					}
				}
			}
		}
		tick()
		if n := counted(tick); n > 4 {
			t.Errorf("%d statements without changes", n)
		}
		setCount(t, s, pageApp, 501)
		if n := counted(tick); n > 13 {
			t.Errorf("%d statements with changes for one webhook", n)
		}
		if n := queryOne[int](t, db, "SELECT count(*) FROM webhooks WHERE due_at IS NOT NULL"); n != 1 {
			t.Errorf("%d webhooks are due", n)
		}
		if stats := s.Stats().Webhooks; stats.Active != more+1 {
			t.Errorf("%+v", stats)
		}
		clock.Advance(time.Minute)
		wantValues(t, "the one with changes", deliverUntil(t, s, map[uuid.UUID]int{hook.ID: 1})[hook.ID], "501")
		setCount(t, s, otherApp, 502)
		clock.Advance(10 * day)
		if done := must(s.PruneHistory(t.Context(), day, store.PruneOptions{}))(t); done.HeldBack != 0 || done.Changes == 0 || len(wholeHistory(t, url)) != 0 {
			t.Errorf("%+v", done)
		}
		setCount(t, s, pageApp, 503)
		work := claimOne(t, s, uuid.New())
		changes := must(s.ReadWebhook(t.Context(), work, 10))(t)
		if wantValues(t, "after pruning", changes.Rows, "503"); changes.Lost {
			t.Error("something is lost")
		}
	})
}

func sqlTime(url string) string {
	if strings.HasPrefix(url, "sqlite:") {
		return "1767225600000"
	}
	return "'2026-01-01'"
}

// Two servers mark, claim and deliver while apps change: each webhook gets each change once, in order, and none is left.
func TestWebhooksMissNothing(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		s := openSeeded(t, url, storetest.Page())
		own, all := newHook(t, s, &pageApp.ClientID, "license_count"), newHook(t, s, nil, "license_count")
		const changes = 60
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		var got [2]map[uuid.UUID][]store.AppChange
		for i := range got {
			got[i] = map[uuid.UUID][]store.AppChange{}
			other := storetest.Open(t, url)
			running.Go(func() {
				for ctx.Err() == nil {
					deliverOnce(t, other, uuid.New(), got[i])
				}
			})
		}
		for n := range changes {
			key := map[bool]store.AppKey{true: pageApp, false: otherApp}[n%2 == 0]
			must(s.UpdateApp(t.Context(), key, store.Fields{store.ColumnLicenseCount: int32(1000 + n)}, writer, nil))(t)
		}
		awaitReadable(t, s)
		eventually(t, "all delivered", func() bool {
			list := must(s.ListWebhooks(t.Context(), nil, nil, fullPage(store.ColumnCreatedAt)))(t)
			return list.Rows[0].Behind == 0 && list.Rows[1].Behind == 0
		})
		stop()
		running.Wait()
		for id, want := range map[uuid.UUID]int{own.ID: changes / 2, all.ID: changes} {
			rows := slices.Concat(got[0][id], got[1][id])
			slices.SortFunc(rows, func(a, b store.AppChange) int { return strings.Compare(a.NewValue, b.NewValue) })
			if rows = slices.CompactFunc(rows, func(a, b store.AppChange) bool { return a.NewValue == b.NewValue }); len(rows) != want {
				t.Errorf("%d changes, want %d", len(rows), want)
			}
			for i := range got {
				if !slices.IsSortedFunc(got[i][id], func(a, b store.AppChange) int { return strings.Compare(a.NewValue, b.NewValue) }) {
					t.Errorf("server %d: not in order", i)
				}
			}
			if n := len(got[0][id]) + len(got[1][id]); n != want {
				t.Errorf("%d changes are delivered, some of them twice", n)
			}
		}
	})
}
