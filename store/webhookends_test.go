package store_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// The webhooks of a client end with it, also one that is just being made.
func TestDeleteClientWithWebhooks(t *testing.T) {
	hookTest(t, func(t *testing.T, url string, s *store.Store, _ *storetest.Clock) {
		hook, kept := newHook(t, s, &pageApp.ClientID, ""), newHook(t, s, nil, "client")
		setCount(t, s, pageApp, 501)
		suspend(t, s, pageApp.ClientID)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				_, err := s.CreateWebhook(t.Context(), nil, store.Webhook{ClientID: &pageApp.ClientID, URL: "x", Secret: []byte("s")}, nil)
				if full := (*store.WebhookLimitError)(nil); err != nil && !errors.As(err, &full) {
					wantError(t, err, &store.ReferenceError{Field: "client_id"})
					return
				}
			}
		}()
		time.Sleep(20 * time.Millisecond)
		must(s.DeleteClient(t.Context(), pageApp.ClientID, alice, nil))(t)
		<-done
		wantNoHook(t, "after the deletion", hook.ID, onlyErr(s.GetWebhook(t.Context(), nil, hook.ID)))
		eventually(t, "the end of all webhooks of the client", func() bool {
			return queryOne[int](t, storetest.SQL(t, url), "SELECT count(*) FROM webhooks") == 1
		})
		wantValues(t, "the webhook of all clients", deliverUntil(t, s, map[uuid.UUID]int{kept.ID: 1})[kept.ID], "null")
	})
}

// Revoking a token disables the webhooks that it and the tokens of its making have made.
func TestRevokeDisablesWebhooks(t *testing.T) {
	hookTest(t, func(t *testing.T, _ string, s *store.Store, _ *storetest.Clock) {
		awaitReadable(t, s)
		for _, keep := range []bool{true, false} {
			parent, secret := newToken(t, s, nil)
			childSecret := newSecret(t)
			child := must(s.CreateToken(t.Context(), authenticated(t, s, secret), childSecret, store.Token{Name: "child", ClientIDs: parent.ClientIDs}))(t)
			hook := must(s.CreateWebhook(t.Context(), authenticated(t, s, childSecret), store.Webhook{ClientID: &pageApp.ClientID, URL: "x", Secret: []byte("s")}, nil))(t)
			other := newHook(t, s, &pageApp.ClientID, "license_count")
			must(s.RevokeToken(t.Context(), nil, parent.ID, true))(t)
			if now := must(s.GetWebhook(t.Context(), nil, hook.ID))(t); now.Status != store.WebhookActive {
				t.Errorf("its creator is still good: %+v", now)
			}
			setCount(t, s, pageApp, map[bool]int32{true: 501, false: 502}[keep])
			must(s.MarkWebhooks(t.Context()))(t)
			must(s.RevokeToken(t.Context(), nil, child.ID, keep))(t)
			now := must(s.GetWebhook(t.Context(), nil, hook.ID))(t)
			if keep && now.Status != store.WebhookActive ||
				!keep && (now.Status != store.WebhookDisabled || now.DueAt != nil || *now.LastError != "The token that made this webhook was revoked" || now.Behind != 1) {
				t.Errorf("keep %t: %+v", keep, now)
			}
			if still := must(s.GetWebhook(t.Context(), nil, other.ID))(t); still.Status != store.WebhookActive {
				t.Errorf("another: %+v", still)
			}
		}
	})
}

// What a webhook has not delivered is not pruned, unless that is forced; then the webhook says so.
func TestPruneAndWebhooks(t *testing.T) {
	hookTest(t, func(t *testing.T, url string, s *store.Store, clock *storetest.Clock) {
		ctx := t.Context()
		slow := newHook(t, s, &pageApp.ClientID, "license_count")
		idle := newHook(t, s, &otherApp.ClientID, "license_count")
		batched := newHook(t, s, &pageApp.ClientID, "license_count")
		for n := range 5 {
			setCount(t, s, pageApp, int32(501+n))
		}
		must(s.MarkWebhooks(ctx))(t)
		hooks := must(s.ClaimWebhooks(ctx, uuid.New(), store.WebhookActive, 10, hookLease))(t)
		if len(hooks) != 2 {
			t.Fatalf("%d webhooks are due", len(hooks))
		}
		for i := range hooks {
			if hooks[i].ID == batched.ID {
				wantValues(t, "the batch", keepNext(t, s, &hooks[i]).Rows, "501", "502")
			}
		}
		clock.Advance(10 * day)
		for range 2 {
			if done := prune(t, s, day); done.HeldBack != 2 || len(wholeHistory(t, url)) != 5 {
				t.Errorf("%+v, and %d changes are kept", done, len(wholeHistory(t, url)))
			}
		}
		pruned := must(s.PruneHistory(ctx, day, store.PruneOptions{Force: true}))(t)
		if pruned.HeldBack != 0 || pruned.Changes != 5 || len(wholeHistory(t, url)) != 0 {
			t.Errorf("%+v", pruned)
		}
		for _, id := range []uuid.UUID{slow.ID, batched.ID} {
			now := must(s.GetWebhook(ctx, nil, id))(t)
			want := "Changes before " + clock.Now().Add(-day).Format(time.RFC3339) + " were pruned before they were delivered"
			if now.LastError == nil || *now.LastError != want || now.Status != store.WebhookActive {
				t.Errorf("%+v", now)
			}
		}
		if now := must(s.GetWebhook(ctx, nil, idle.ID))(t); now.LastError != nil {
			t.Errorf("the idle one: %+v", now)
		}
		setCount(t, s, pageApp, 601)
		setCount(t, s, otherApp, 602)
		clock.Advance(time.Minute) // the end of the leases
		hooks = must(s.ClaimWebhooks(ctx, uuid.New(), store.WebhookActive, 10, hookLease))(t)
		for i := range hooks {
			hook := &hooks[i]
			if hook.ID == batched.ID {
				if !strings.Contains(string(*hook.Batch), `"501"`) {
					t.Error("the batch is another")
				}
				if err := s.FinishWebhookAttempt(ctx, hook, attempt(hook, ""), store.WebhookNext{}, hookLease); err != nil {
					t.Error(err)
				}
			}
			if err := s.ReleaseWebhook(ctx, hook, nil); err != nil {
				t.Error(err)
			}
		}
		got := deliverUntil(t, s, map[uuid.UUID]int{slow.ID: 1, batched.ID: 1, idle.ID: 1})
		wantValues(t, "the slow one", got[slow.ID], "601")
		wantValues(t, "the one with a batch", got[batched.ID], "601")
		wantValues(t, "the idle one", got[idle.ID], "602")
		if now := must(s.GetWebhook(ctx, nil, slow.ID))(t); now.LastError == nil {
			t.Error("a success has cleared that changes were lost")
		}
		must(s.UpdateWebhook(ctx, nil, slow.ID, store.Fields{store.ColumnStatus: store.WebhookActive}))(t)
		must(s.ReplayWebhook(ctx, nil, batched.ID, store.ChangeStart{}))(t)
		for _, id := range []uuid.UUID{slow.ID, batched.ID} {
			if now := must(s.GetWebhook(ctx, nil, id))(t); now.LastError != nil {
				t.Errorf("%+v", now)
			}
		}
	})
}
