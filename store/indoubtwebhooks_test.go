package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// webhookInDoubtCases are the writes that callers make to webhooks.
func webhookInDoubtCases() []inDoubtCase {
	id := idOf("a webhook")
	create := func(ctx context.Context, s *store.Store, id uuid.UUID) error {
		_, err := s.CreateWebhook(ctx, nil, store.Webhook{ID: id, ClientID: &pageApp.ClientID, URL: "https://example.com", Secret: []byte("old")}, nil)
		return err
	}
	created := func(t *testing.T, s *store.Store) {
		t.Helper()
		if err := create(t.Context(), s, id); err != nil {
			t.Fatal(err)
		}
	}
	changed := func(t *testing.T, s *store.Store) int {
		t.Helper()
		return int(must(s.GetWebhook(t.Context(), nil, id))(t).Version) - 1
	}
	exists := func(t *testing.T, s *store.Store, id uuid.UUID) bool {
		t.Helper()
		_, err := s.GetWebhook(t.Context(), nil, id)
		if err != nil && !errors.As(err, new(*store.NotFoundError)) {
			t.Fatal(err)
		}
		return err == nil
	}
	return []inDoubtCase{
		{name: "create webhook", trigger: "commit", prepare: created, write: func(ctx context.Context, s *store.Store) error {
			return create(ctx, s, idOf("another webhook"))
		}, times: func(t *testing.T, s *store.Store) int {
			t.Helper()
			if exists(t, s, idOf("another webhook")) {
				return 1
			}
			return 0
		}},
		{name: "update webhook", trigger: "commit", prepare: created, times: changed, write: func(ctx context.Context, s *store.Store) error {
			_, err := s.UpdateWebhook(ctx, nil, id, store.Fields{store.ColumnURL: "https://example.org"})
			return err
		}},
		{name: "rotate the secret of a webhook", trigger: "commit", prepare: created, times: changed, write: func(ctx context.Context, s *store.Store) error {
			_, err := s.RotateWebhookSecret(ctx, nil, id, []byte("new"))
			return err
		}},
		{name: "replay webhook", trigger: "commit", prepare: created, times: changed, write: func(ctx context.Context, s *store.Store) error {
			_, err := s.ReplayWebhook(ctx, nil, id, store.ChangeStart{Since: &storetest.Now})
			return err
		}},
		{name: "delete webhook", trigger: "commit", prepare: created, write: func(ctx context.Context, s *store.Store) error {
			return s.DeleteWebhook(ctx, nil, id)
		}, times: func(t *testing.T, s *store.Store) int {
			t.Helper()
			if exists(t, s, id) {
				return 0
			}
			return 1
		}},
	}
}

// TestDeliveryInDoubtIsResolved breaks the connection of a worker at the COMMIT with which it keeps a batch, and with which it records
// that the batch was delivered.
func TestDeliveryInDoubtIsResolved(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]fault{"request": dropRequest, "answer": dropResponse, "late": delayRequest} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := storetest.Postgres(t)
			there := openSeeded(t, url, storetest.Page())
			id := newHook(t, there, &pageApp.ClientID, "").ID
			setCount(t, there, pageApp, 5)
			hook := claimOne(t, there, idOf("worker"))
			batch := batchOf(t, must(there.ReadWebhook(t.Context(), hook, 2))(t))
			proxy := newFaultProxy(t, url)
			here := openWithoutPolling(t, proxy.url)
			must(here.GetApp(t.Context(), pageApp))(t)
			stored := func() store.Webhook { return must(there.GetWebhook(t.Context(), nil, id))(t) }

			faults := 0
			breakCommit := func(write func(ctx context.Context) error, times func() int) {
				t.Helper()
				proxy.arm("commit", how)
				ctx := t.Context()
				if how == delayRequest {
					ctx = deadlineOn{ctx, proxy.fired}
				}
				err := write(ctx)
				if how == delayRequest {
					<-proxy.executed
				}
				checkOutcome(t, inDoubtCase{}, how, err, times())
				if faults++; proxy.count() != faults {
					t.Errorf("%d faults were triggered, want %d", proxy.count(), faults)
				}
			}
			breakCommit(func(ctx context.Context) error { return here.KeepWebhookBatch(ctx, hook, batch, hookLease) }, func() int {
				if kept := stored().BatchID; kept != nil && *kept == batch.ID {
					return 1
				}
				return 0
			})
			if how == delayRequest {
				return // the proxy delays one request
			}
			delivered := attempt(hook, "")
			delivered.AttemptedAt = time.Now() // older ones are not listed
			breakCommit(func(ctx context.Context) error {
				return here.FinishWebhookAttempt(ctx, hook, delivered, store.WebhookNext{}, hookLease)
			}, func() int {
				if key := stored().Key; key != batch.Key {
					t.Errorf("the webhook is at %s, want %s", key, batch.Key)
				}
				return len(must(there.ListWebhookDeliveries(t.Context(), nil, id, store.Page{Size: 10}))(t).Rows)
			})
		})
	}
}
