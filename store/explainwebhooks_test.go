package store_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// allWebhooks matches statements that may read all webhooks, with the reason: the lists count them, MarkWebhooks counts them once in ten
// seconds, and one that is not disabled is soon found.
var allWebhooks = regexp.MustCompile("^SELECT (count\\(\\*\\) FROM|status, count\\(\\*\\)|[`\"]behind_since[`\"] FROM) ?|WHERE status <> 'disabled' LIMIT [$?]?1?$")

// addPlanWebhooks adds a webhook for each client, with an attempt to deliver. Nine of ten are disabled. They are so many that those of a
// client are few.
func addPlanWebhooks(t *testing.T, url string, clients int) {
	t.Helper()
	var rows, attempts []string
	for n := range 20 * clients {
		name := fmt.Sprintf("Client %d", n)
		at, later := "'2026-01-01'", "'2099-01-01'"
		if strings.HasPrefix(url, "sqlite:") {
			at, later = "1767225600000", "4070908800000"
		}
		status := store.WebhookDisabled
		if n%10 == 0 {
			status = store.WebhookActive
		}
		id := idOf("hook of " + name)
		rows = append(rows, fmt.Sprintf("('%s', '%s', 'https://example.com', '', '%s', 's', %s, %s, 1, 0, '0', 0, 0)", id, idOf(name), status, at, at))
		attempts = append(attempts, fmt.Sprintf("('%s', '%s', '%s', 'ping', %s, 1)", id, id, id, later))
	}
	const columns = "id, client_id, url, fields, status, secret, created_at, updated_at, version, position, key, failures, marked"
	db := storetest.SQL(t, url)
	must(db.ExecContext(t.Context(), "INSERT INTO webhooks ("+columns+") VALUES "+strings.Join(rows, ", ")))(t)
	must(db.ExecContext(t.Context(), "INSERT INTO webhook_deliveries (id, webhook_id, delivery_id, type, attempted_at, duration_ms) VALUES "+
		strings.Join(attempts, ", ")))(t)
	// What is there already is marked: to mark all webhooks at once, a database may read them all.
	must(db.ExecContext(t.Context(), "UPDATE webhook_state SET position = (SELECT max(position) + 1 FROM app_changes)"))(t)
}

// aWebhook makes a webhook of another client each time.
func (f *planFixture) aWebhook(ctx context.Context, s *store.Store, since *time.Time) (store.Webhook, error) {
	f.serial++
	id := idOf(fmt.Sprintf("Client %d", f.serial%(20*fewClients)))
	return s.CreateWebhook(ctx, nil, store.Webhook{ClientID: &id, URL: "https://example.com", Secret: []byte("s")}, since)
}

// withWebhook runs a case with a webhook of its own.
func withWebhook(run func(ctx context.Context, s *store.Store, f *planFixture, hook store.Webhook) error) []planCase {
	return []planCase{{everyClient: "the feed is of all clients", sorts: 20_000, run: func(ctx context.Context, s *store.Store, f *planFixture) error {
		hook, err := f.aWebhook(ctx, s, nil)
		if err == nil {
			err = run(ctx, s, f, hook)
		}
		if err == nil {
			err = s.DeleteWebhook(ctx, nil, hook.ID)
		}
		return err
	}}}
}

// claimed runs a case with a webhook that is claimed.
func claimed(run func(ctx context.Context, s *store.Store, hook *store.Webhook) error) []planCase {
	return withWebhook(func(ctx context.Context, s *store.Store, _ *planFixture, hook store.Webhook) error {
		if _, err := s.ReplayWebhook(ctx, nil, hook.ID, store.ChangeStart{}); err != nil {
			return err
		}
		hooks, err := s.ClaimWebhooks(ctx, uuid.New(), store.WebhookActive, 20*planClients, time.Minute)
		if err != nil {
			return err
		}
		for i := range hooks {
			if hooks[i].ID == hook.ID {
				return run(ctx, s, &hooks[i])
			}
		}
		return fmt.Errorf("%d webhooks are claimed, and the one of the case is not", len(hooks))
	})
}

// planWebhooks are the cases of webhooks.
var planWebhooks = map[string][]planCase{
	"ListWebhooks": append(webhookPages("of all", func(*planFixture) *store.Token { return everyClient }),
		planCase{name: "of a client", everyClient: "the feed is of all clients", sorts: 20_000, run: func(ctx context.Context, s *store.Store, f *planFixture) error {
			return onlyErr(s.ListWebhooks(ctx, f.token, &f.client, store.Page{Size: planPage, SortBy: store.ColumnCreatedAt}))
		}}),
	"GetWebhook": withWebhook(func(ctx context.Context, s *store.Store, _ *planFixture, hook store.Webhook) error {
		return onlyErr(s.GetWebhook(ctx, everyClient, hook.ID))
	}),
	"CreateWebhook": append(withWebhook(func(context.Context, *store.Store, *planFixture, store.Webhook) error { return nil }),
		planCase{name: "since a time", everyClient: "the feed is of all clients", sorts: 20_000, run: func(ctx context.Context, s *store.Store, f *planFixture) error {
			hook, err := f.aWebhook(ctx, s, new(time.Unix(0, 0)))
			if err == nil {
				err = s.DeleteWebhook(ctx, nil, hook.ID)
			}
			return err
		}}),
	"UpdateWebhook": withWebhook(func(ctx context.Context, s *store.Store, _ *planFixture, hook store.Webhook) error {
		for _, status := range []string{store.WebhookDisabled, store.WebhookActive} {
			if _, err := s.UpdateWebhook(ctx, nil, hook.ID, store.Fields{store.ColumnStatus: status, store.ColumnFields: "app"}); err != nil {
				return err
			}
		}
		return nil
	}),
	"DeleteWebhook": withWebhook(func(context.Context, *store.Store, *planFixture, store.Webhook) error { return nil }),
	"RotateWebhookSecret": withWebhook(func(ctx context.Context, s *store.Store, _ *planFixture, hook store.Webhook) error {
		return onlyErr(s.RotateWebhookSecret(ctx, nil, hook.ID, []byte("t")))
	}),
	"ReplayWebhook": withWebhook(func(ctx context.Context, s *store.Store, _ *planFixture, hook store.Webhook) error {
		return onlyErr(s.ReplayWebhook(ctx, nil, hook.ID, store.ChangeStart{Since: new(time.Unix(0, 0))}))
	}),
	"BeginWebhookTest": withWebhook(func(ctx context.Context, s *store.Store, _ *planFixture, hook store.Webhook) error {
		return onlyErr(s.BeginWebhookTest(ctx, nil, hook.ID))
	}),
	"RecordWebhookTest": withWebhook(func(ctx context.Context, s *store.Store, _ *planFixture, hook store.Webhook) error {
		return s.RecordWebhookTest(ctx, store.WebhookAttempt{WebhookID: hook.ID, Type: "ping", AttemptedAt: time.Now().UTC()})
	}),
	"ListWebhookDeliveries": withWebhook(func(ctx context.Context, s *store.Store, _ *planFixture, hook store.Webhook) error {
		now := time.Now().UTC().Truncate(time.Millisecond)
		for n := range 3 {
			attempt := store.WebhookAttempt{WebhookID: hook.ID, Type: "ping", AttemptedAt: now.Add(time.Duration(n) * time.Second)}
			if err := s.RecordWebhookTest(ctx, attempt); err != nil {
				return err
			}
		}
		list, err := s.ListWebhookDeliveries(ctx, nil, hook.ID, store.Page{Size: 2})
		if err == nil {
			_, err = s.ListWebhookDeliveries(ctx, nil, hook.ID, store.Page{Size: 2, After: list.Next})
		}
		return err
	}),
	"MarkWebhooks": withWebhook(func(ctx context.Context, s *store.Store, f *planFixture, _ store.Webhook) error {
		if err := patchNew(ctx, s, f, f.anApp(), nil); err != nil {
			return err
		}
		for range 3 {
			if err := onlyErr(s.MarkWebhooks(ctx)); err != nil {
				return err
			}
		}
		return nil
	}),
	"ClaimWebhooks": claimed(func(context.Context, *store.Store, *store.Webhook) error { return nil }),
	"ReadWebhook": claimed(func(ctx context.Context, s *store.Store, hook *store.Webhook) error {
		return onlyErr(s.ReadWebhook(ctx, hook, 100))
	}),
	"KeepWebhookBatch": claimed(func(ctx context.Context, s *store.Store, hook *store.Webhook) error {
		return s.KeepWebhookBatch(ctx, hook, store.WebhookBatch{ID: uuid.New(), Key: "1", FirstChangedAt: storetest.Now}, time.Minute)
	}),
	"FinishWebhookAttempt": claimed(func(ctx context.Context, s *store.Store, hook *store.Webhook) error {
		if err := s.KeepWebhookBatch(ctx, hook, store.WebhookBatch{ID: uuid.New(), Key: "1", FirstChangedAt: storetest.Now}, time.Minute); err != nil {
			return err
		}
		attempt := store.WebhookAttempt{DeliveryID: *hook.BatchID, Type: "app.changed", AttemptedAt: storetest.Now}
		return s.FinishWebhookAttempt(ctx, hook, attempt, store.WebhookNext{}, time.Minute)
	}),
	"ReleaseWebhook": claimed(func(ctx context.Context, s *store.Store, hook *store.Webhook) error {
		return s.ReleaseWebhook(ctx, hook, &store.UndeliveredChanges{Next: "1"})
	}),
	"PruneWebhookDeliveries": {{run: func(ctx context.Context, s *store.Store, _ *planFixture) error {
		_, err := s.PruneWebhookDeliveries(ctx)
		return err
	}}},
}

func webhookPages(name string, by func(*planFixture) *store.Token) []planCase {
	pages := eachPage(store.ColumnCreatedAt, "webhooks_by_creation", func(ctx context.Context, s *store.Store, f *planFixture, p store.Page) (*store.Position, error) {
		list, err := s.ListWebhooks(ctx, by(f), nil, p)
		return list.Next, err
	})
	for i := range pages {
		pages[i].name = name + ", " + pages[i].name
		pages[i].everyClient, pages[i].sorts = "the feed is of all clients", 20_000
	}
	return pages
}
