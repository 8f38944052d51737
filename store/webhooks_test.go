package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// newHook makes a webhook of a client, or of all clients if that is nil, at the end of the feed.
func newHook(t testing.TB, s *store.Store, client *uuid.UUID, fields string) store.Webhook {
	t.Helper()
	awaitReadable(t, s)
	hook := store.Webhook{ClientID: client, URL: "https://example.com/hook", Fields: fields, Secret: []byte("encrypted")}
	return must(s.CreateWebhook(t.Context(), nil, hook, nil))(t)
}

// wantNoHook checks that a call on a webhook fails because there is no such webhook.
func wantNoHook(t *testing.T, what string, id uuid.UUID, err error) {
	t.Helper()
	var missing *store.NotFoundError
	if !errors.As(err, &missing) || missing.Kind != store.KindWebhook || missing.ID != id {
		t.Errorf("%s: %v", what, err)
	}
}

// onHooks calls every method that takes a webhook's id.
var onHooks = map[string]func(t *testing.T, s *store.Store, by *store.Token, id uuid.UUID) error{
	"GetWebhook": func(t *testing.T, s *store.Store, by *store.Token, id uuid.UUID) error {
		return onlyErr(s.GetWebhook(t.Context(), by, id))
	},
	"UpdateWebhook": func(t *testing.T, s *store.Store, by *store.Token, id uuid.UUID) error {
		return onlyErr(s.UpdateWebhook(t.Context(), by, id, store.Fields{store.ColumnDescription: "mine"}))
	},
	"activate": func(t *testing.T, s *store.Store, by *store.Token, id uuid.UUID) error {
		return onlyErr(s.UpdateWebhook(t.Context(), by, id, store.Fields{store.ColumnStatus: store.WebhookActive}))
	},
	"RotateWebhookSecret": func(t *testing.T, s *store.Store, by *store.Token, id uuid.UUID) error {
		return onlyErr(s.RotateWebhookSecret(t.Context(), by, id, []byte("another")))
	},
	"ReplayWebhook": func(t *testing.T, s *store.Store, by *store.Token, id uuid.UUID) error {
		return onlyErr(s.ReplayWebhook(t.Context(), by, id, store.ChangeStart{}))
	},
	"BeginWebhookTest": func(t *testing.T, s *store.Store, by *store.Token, id uuid.UUID) error {
		return onlyErr(s.BeginWebhookTest(t.Context(), by, id))
	},
	"ListWebhookDeliveries": func(t *testing.T, s *store.Store, by *store.Token, id uuid.UUID) error {
		return onlyErr(s.ListWebhookDeliveries(t.Context(), by, id, store.Page{Size: 10}))
	},
	"DeleteWebhook": func(t *testing.T, s *store.Store, by *store.Token, id uuid.UUID) error {
		return s.DeleteWebhook(t.Context(), by, id)
	},
}

// TestWebhooksOfAToken: a token sees the webhooks of the clients that it covers, and those of all clients if it covers all.
func TestWebhooksOfAToken(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string, s *store.Store) {
		mine, others, all := newHook(t, s, &pageApp.ClientID, ""), newHook(t, s, &otherApp.ClientID, ""), newHook(t, s, nil, "")
		for name, c := range map[string]struct {
			by   *store.Token
			sees []uuid.UUID
		}{
			"the command":    {nil, []uuid.UUID{mine.ID, others.ID, all.ID}},
			"all":            {everyClient, []uuid.UUID{mine.ID, others.ID, all.ID}},
			"one":            {&store.Token{ClientIDs: []uuid.UUID{pageApp.ClientID}}, []uuid.UUID{mine.ID}},
			"none":           {&store.Token{}, nil},
			"another client": {&store.Token{ClientIDs: []uuid.UUID{uuid.New()}}, nil},
		} {
			var listed []uuid.UUID
			list := must(s.ListWebhooks(t.Context(), c.by, nil, fullPage(store.ColumnCreatedAt)))(t)
			for _, hook := range list.Rows {
				listed = append(listed, hook.ID)
			}
			slices.SortFunc(listed, func(a, b uuid.UUID) int { return strings.Compare(a.String(), b.String()) })
			slices.SortFunc(c.sees, func(a, b uuid.UUID) int { return strings.Compare(a.String(), b.String()) })
			if !slices.Equal(listed, c.sees) || list.Total != int64(len(c.sees)) {
				t.Errorf("%s: %v of %d, want %v", name, listed, list.Total, c.sees)
			}
			list = must(s.ListWebhooks(t.Context(), c.by, &pageApp.ClientID, fullPage(store.ColumnCreatedAt)))(t)
			if sees := slices.Contains(c.sees, mine.ID); len(list.Rows) != map[bool]int{true: 1}[sees] || sees && list.Rows[0].ID != mine.ID {
				t.Errorf("%s, of the client: %+v", name, list.Rows)
			}
			before := dump(t, url, "webhooks")
			for method, call := range onHooks {
				for _, hook := range []store.Webhook{mine, others, all} {
					if !slices.Contains(c.sees, hook.ID) {
						wantNoHook(t, name+", "+method, hook.ID, call(t, s, c.by, hook.ID))
					} else if method == "GetWebhook" {
						if err := call(t, s, c.by, hook.ID); err != nil {
							t.Errorf("%s: %v", name, err)
						}
					}
				}
			}
			if after := dump(t, url, "webhooks"); after != before {
				t.Errorf("%s: written:\n%s", name, after)
			}
		}
		one := &store.Token{ClientIDs: []uuid.UUID{pageApp.ClientID}}
		for _, method := range []string{"UpdateWebhook", "activate", "RotateWebhookSecret", "ReplayWebhook", "BeginWebhookTest", "ListWebhookDeliveries", "DeleteWebhook"} {
			if err := onHooks[method](t, s, one, mine.ID); err != nil {
				t.Errorf("%s: %v", method, err)
			}
		}
		for method, call := range onHooks {
			wantNoHook(t, method+" after its end", mine.ID, call(t, s, nil, mine.ID))
		}
	})
}

// Twenty webhooks are the most of a client, and of all clients, also when many are made at once.
func TestWebhookLimit(t *testing.T) {
	eachDatabase(t, func(t *testing.T, _ string, s *store.Store) {
		for _, client := range []*uuid.UUID{&pageApp.ClientID, nil} {
			for range 17 {
				newHook(t, s, client, "")
			}
			var made atomic.Int32
			var running sync.WaitGroup
			for range 6 {
				running.Go(func() {
					_, err := s.CreateWebhook(t.Context(), nil, store.Webhook{ClientID: client, URL: "x", Secret: []byte("s")}, nil)
					if err == nil {
						made.Add(1)
					} else if full := (*store.WebhookLimitError)(nil); !errors.As(err, &full) || full.Limit != 20 {
						t.Error(err)
					}
				})
			}
			running.Wait()
			if made.Load() != 3 {
				t.Errorf("%d webhooks besides the 17", made.Load())
			}
		}
		newHook(t, s, &otherApp.ClientID, "")
	})
}

func TestCreateWebhook(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string, s *store.Store) {
		secret := newSecret(t)
		made := must(s.CreateToken(t.Context(), nil, secret, store.Token{Name: "maker", AllClients: true}))(t)
		by := authenticated(t, s, secret)
		id, description := uuid.New(), "for the audit"
		hook := must(s.CreateWebhook(t.Context(), by, store.Webhook{
			ID: id, ClientID: &pageApp.ClientID, URL: "https://example.com", Description: &description, Fields: "license_count app app",
			Secret: []byte("encrypted"), Status: store.WebhookDisabled, Failures: 7,
		}, nil))(t)
		want := store.Webhook{
			ID: id, ClientID: &pageApp.ClientID, URL: "https://example.com", Description: &description, Fields: "app license_count",
			Status: store.WebhookActive, Secret: []byte("encrypted"), CreatedBy: &made.ID, CreatedAt: storetest.Now, UpdatedAt: storetest.Now, Version: 1,
			Position: hook.Position, Key: hook.Key,
		}
		wantJSON(t, "the webhook", hook, want)
		wantJSON(t, "the webhook as it is read", must(s.GetWebhook(t.Context(), by, id))(t), want)
		if provided := must(s.CreateWebhook(t.Context(), &store.Token{ID: uuid.New(), AllClients: true, FromProvider: true},
			store.Webhook{URL: "x", Secret: []byte("s")}, nil))(t); provided.CreatedBy != nil {
			t.Errorf("made by a token of a provider: %v", provided.CreatedBy)
		}
		before := dump(t, url, "webhooks")
		nobody := uuid.New()
		_, err := s.CreateWebhook(t.Context(), by, store.Webhook{ClientID: &nobody, URL: "x", Secret: []byte("s")}, nil)
		wantError(t, err, &store.ReferenceError{Field: "client_id"})
		must(s.RevokeToken(t.Context(), nil, made.ID, true))(t)
		if _, err := s.CreateWebhook(t.Context(), by, store.Webhook{URL: "x", Secret: []byte("s")}, nil); !errors.Is(err, store.ErrRevokedToken) {
			t.Errorf("by a token that was revoked: %v", err)
		}
		if after := dump(t, url, "webhooks"); after != before {
			t.Errorf("written:\n%s", after)
		}
	})
}

// A webhook that begins at a time gets what has changed since, and one without a time what comes.
func TestWebhookBegins(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		s := openSeeded(t, url, storetest.Page(), withClock(clock))
		clock.Advance(time.Hour)
		since := clock.Now()
		clock.Advance(time.Hour)
		must(s.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnLicenseCount: int32(501)}, writer, nil))(t)
		must(s.UpdateApp(t.Context(), otherApp, store.Fields{store.ColumnLicenseCount: int32(502)}, writer, nil))(t)
		awaitFeed(t, s, store.ChangeStart{Since: &since}, 2)
		hook := store.Webhook{ClientID: &pageApp.ClientID, URL: "https://example.com", Secret: []byte("s")}
		begun := must(s.CreateWebhook(t.Context(), nil, hook, &since))(t)
		atEnd := must(s.CreateWebhook(t.Context(), nil, hook, nil))(t)
		if begun.Behind != 1 || atEnd.Behind != 0 {
			t.Errorf("%d and %d changes wait", begun.Behind, atEnd.Behind)
		}
		must(s.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnLicenseCount: int32(503)}, writer, nil))(t)
		got := deliverUntil(t, s, map[uuid.UUID]int{begun.ID: 2, atEnd.ID: 1})
		wantValues(t, "since a time", got[begun.ID], "501", "503")
		wantValues(t, "at the end", got[atEnd.ID], "503")
		clock.Advance(100 * day)
		must(s.PruneHistory(t.Context(), day, store.PruneOptions{}))(t)
		if _, err := s.CreateWebhook(t.Context(), nil, hook, &since); !errors.Is(err, store.ErrCursorExpired) {
			t.Errorf("since before what is kept: %v", err)
		}
		for _, from := range []store.ChangeStart{{Since: &since}, {After: &store.Position{SortKey: "another", TieBreaker: "1"}}} {
			if _, err := s.ReplayWebhook(t.Context(), nil, begun.ID, from); !errors.Is(err, store.ErrCursorExpired) {
				t.Errorf("replay from before what is kept: %v", err)
			}
		}
		if _, err := s.ReplayWebhook(t.Context(), nil, begun.ID, store.ChangeStart{After: &store.Position{TieBreaker: "x"}}); !errors.Is(err, store.ErrPosition) {
			t.Errorf("replay from nowhere: %v", err)
		}
	})
}

func TestUpdateWebhook(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		s := openSeeded(t, url, storetest.Page(), withClock(clock))
		hook := newHook(t, s, &pageApp.ClientID, "app")
		clock.Advance(time.Minute)
		before := dump(t, url, "webhooks")
		for _, same := range []store.Fields{
			{}, {store.ColumnURL: hook.URL, store.ColumnDescription: nil, store.ColumnFields: "app app", store.ColumnStatus: store.WebhookActive},
		} {
			wantJSON(t, "a patch that changes nothing", must(s.UpdateWebhook(t.Context(), nil, hook.ID, same))(t), hook)
		}
		if after := dump(t, url, "webhooks"); after != before {
			t.Errorf("written:\n%s", after)
		}
		want := hook
		want.URL, want.Description, want.Fields, want.Version, want.UpdatedAt = "https://two.example.com", new("d"), "app license_count", 2, clock.Now()
		wantJSON(t, "the webhook", must(s.UpdateWebhook(t.Context(), nil, hook.ID, store.Fields{
			store.ColumnURL: want.URL, store.ColumnDescription: "d", store.ColumnFields: "license_count app",
		}))(t), want)
		disabled := must(s.UpdateWebhook(t.Context(), nil, hook.ID, store.Fields{store.ColumnStatus: store.WebhookDisabled, store.ColumnDescription: nil}))(t)
		if disabled.Status != store.WebhookDisabled || disabled.Description != nil || disabled.Version != 3 || disabled.DueAt != nil {
			t.Errorf("disabled: %+v", disabled)
		}
		must(s.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnLicenseCount: int32(501)}, writer, nil))(t)
		eventually(t, "what waits is counted", func() bool { return must(s.GetWebhook(t.Context(), nil, hook.ID))(t).Behind == 1 })
		if enabled, err := s.MarkWebhooks(t.Context()); enabled || err != nil {
			t.Errorf("all webhooks are disabled: %t, %v", enabled, err)
		}
		if hooks := must(s.ClaimWebhooks(t.Context(), uuid.New(), store.WebhookDisabled, 9, time.Minute))(t); len(hooks) != 0 {
			t.Errorf("a disabled webhook was claimed: %+v", hooks)
		}
		active := must(s.UpdateWebhook(t.Context(), nil, hook.ID, store.Fields{store.ColumnStatus: store.WebhookActive}))(t)
		if active.Status != store.WebhookActive || active.DueAt == nil || !active.DueAt.Equal(clock.Now()) || active.Behind != 1 {
			t.Errorf("active again: %+v", active)
		}
		wantValues(t, "what has changed while it was disabled", deliverUntil(t, s, map[uuid.UUID]int{hook.ID: 1})[hook.ID], "501")
	})
}

// A disabled webhook whose position was pruned has to be replayed before it becomes active.
func TestActivateAfterPruning(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		s := openSeeded(t, url, storetest.Page(), withClock(clock))
		hook := newHook(t, s, &pageApp.ClientID, "")
		other := newHook(t, s, &otherApp.ClientID, "") // is idle, and holds nothing back
		must(s.UpdateWebhook(t.Context(), nil, hook.ID, store.Fields{store.ColumnStatus: store.WebhookDisabled}))(t)
		must(s.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnLicenseCount: int32(501)}, writer, nil))(t)
		clock.Advance(10 * day)
		eventually(t, "what is old is pruned", func() bool {
			done := must(s.PruneHistory(t.Context(), day, store.PruneOptions{}))(t)
			return done.HeldBack == 0 && len(wholeHistory(t, url)) == 0
		})
		before := dump(t, url, "webhooks")
		_, err := s.UpdateWebhook(t.Context(), nil, hook.ID, store.Fields{store.ColumnStatus: store.WebhookActive, store.ColumnURL: "x"})
		wantError(t, err, &store.WebhookPrunedError{ID: hook.ID})
		if after := dump(t, url, "webhooks"); after != before {
			t.Errorf("written:\n%s", after)
		}
		replayed := must(s.ReplayWebhook(t.Context(), nil, hook.ID, store.ChangeStart{}))(t)
		if replayed.Status != store.WebhookDisabled || replayed.DueAt != nil || replayed.Behind != 0 {
			t.Errorf("replayed: %+v", replayed)
		}
		must(s.UpdateWebhook(t.Context(), nil, hook.ID, store.Fields{store.ColumnStatus: store.WebhookActive}))(t)
		must(s.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnLicenseCount: int32(502)}, writer, nil))(t)
		must(s.UpdateApp(t.Context(), otherApp, store.Fields{store.ColumnLicenseCount: int32(503)}, writer, nil))(t)
		got := deliverUntil(t, s, map[uuid.UUID]int{hook.ID: 1, other.ID: 1})
		wantValues(t, "the one that was disabled", got[hook.ID], "502")
		wantValues(t, "the one that was idle", got[other.ID], "503")
	})
}

func TestRotateWebhookSecret(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		s := openSeeded(t, url, storetest.Page(), withClock(clock))
		hook, still := newHook(t, s, nil, ""), newHook(t, s, nil, "")
		rotated := must(s.RotateWebhookSecret(t.Context(), nil, hook.ID, []byte("two")))(t)
		if string(rotated.Secret) != "two" || string(*rotated.PreviousSecret) != "encrypted" || !rotated.PreviousUntil.Equal(clock.Now().Add(day)) || rotated.Version != 2 {
			t.Errorf("%+v", rotated)
		}
		again := func(_ uuid.UUID, secret []byte) ([]byte, bool, error) {
			if strings.HasSuffix(string(secret), "+") {
				return nil, false, nil
			}
			return append(slices.Clone(secret), '+'), true, nil
		}
		for _, want := range []int{2, 0} {
			if n := must(s.ReencryptWebhookSecrets(t.Context(), again))(t); n != want {
				t.Errorf("%d secrets are encrypted again, want %d", n, want)
			}
		}
		now := must(s.GetWebhook(t.Context(), nil, hook.ID))(t)
		if string(now.Secret) != "two+" || string(*now.PreviousSecret) != "encrypted+" || now.Version != 2 {
			t.Errorf("%+v", now)
		}
		clock.Advance(day + time.Second)
		failed := errors.New("no key has encrypted it")
		once := func(id uuid.UUID, secret []byte) ([]byte, bool, error) {
			if string(secret) == "encrypted+" && id == hook.ID {
				return nil, false, failed
			}
			return nil, false, nil
		}
		if n := must(s.ReencryptWebhookSecrets(t.Context(), once))(t); n != 1 || must(s.GetWebhook(t.Context(), nil, hook.ID))(t).PreviousSecret != nil {
			t.Error("a secret that has ended is kept")
		}
		if _, err := s.ReencryptWebhookSecrets(t.Context(), func(id uuid.UUID, _ []byte) ([]byte, bool, error) {
			if id == still.ID {
				return nil, false, failed
			}
			return nil, false, nil
		}); !errors.Is(err, failed) {
			t.Errorf("%v", err)
		}
	})
}

func TestTestWebhook(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		s := openSeeded(t, url, storetest.Page(), withClock(clock))
		other := storetest.Open(t, url, withClock(clock))
		hook := newHook(t, s, &pageApp.ClientID, "")
		if tested := must(s.BeginWebhookTest(t.Context(), nil, hook.ID))(t); string(tested.Secret) != "encrypted" {
			t.Errorf("%+v", tested)
		}
		clock.Advance(3 * time.Second)
		_, err := other.BeginWebhookTest(t.Context(), nil, hook.ID)
		wantError(t, err, &store.TooSoonError{RetryAfter: 7 * time.Second})
		clock.Advance(7 * time.Second)
		must(other.BeginWebhookTest(t.Context(), nil, hook.ID))(t)
		// Attempts of five days: those of three days are shown, newest first.
		for n := range 5 {
			attempt := store.WebhookAttempt{
				WebhookID: hook.ID, DeliveryID: uuid.New(), Type: "ping", AttemptedAt: clock.Now(), DurationMS: int32(n), Status: new(int32(200)), Outcome: "delivered",
			}
			if n%2 == 1 {
				attempt.Status, attempt.Error, attempt.Outcome = nil, new("no answer"), "failed"
			}
			if err := s.RecordWebhookTest(t.Context(), attempt); err != nil {
				t.Fatal(err)
			}
			clock.Advance(day)
		}
		page := store.Page{Size: 2}
		var durations []int32
		for {
			list := must(s.ListWebhookDeliveries(t.Context(), nil, hook.ID, page))(t)
			for _, a := range list.Rows {
				if durations = append(durations, a.DurationMS); (a.Status == nil) != (a.Error != nil) || a.WebhookID != hook.ID || a.Type != "ping" {
					t.Errorf("%+v", a)
				}
			}
			if page.After = list.Next; list.Next == nil {
				break
			}
		}
		if !slices.Equal(durations, []int32{4, 3, 2}) {
			t.Errorf("the attempts are %v", durations)
		}
		if attempts := s.Stats().Webhooks.Attempts; attempts["delivered"] != 3 || attempts["failed"] != 2 {
			t.Errorf("%v", attempts)
		}
		if _, err := s.PruneWebhookDeliveries(t.Context()); err != nil {
			t.Error(err)
		}
		if n := queryOne[int](t, storetest.SQL(t, url), "SELECT count(*) FROM webhook_deliveries"); n != 3 {
			t.Errorf("%d attempts are kept", n)
		}
		if err := s.DeleteWebhook(t.Context(), nil, hook.ID); err != nil {
			t.Error(err)
		}
		if err := s.RecordWebhookTest(t.Context(), store.WebhookAttempt{WebhookID: hook.ID, Type: "ping", AttemptedAt: clock.Now()}); err != nil {
			t.Errorf("of a webhook that was deleted meanwhile: %v", err)
		}
		if n := queryOne[int](t, storetest.SQL(t, url), "SELECT count(*) FROM webhook_deliveries"); n != 0 {
			t.Errorf("%d attempts of a webhook that was deleted", n)
		}
	})
}

// Many old attempts are deleted in pieces.
func TestPruneWebhookDeliveries(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		s := openSeeded(t, url, storetest.Page(), withClock(clock))
		hook := newHook(t, s, nil, "")
		db := storetest.SQL(t, url)
		var rows []string
		for n := range 1500 {
			at := "timestamptz '2020-01-01' + interval '%d ms'"
			if strings.HasPrefix(url, "sqlite:") {
				at = "1577836800000 + %d"
			}
			rows = append(rows, fmt.Sprintf("('%s', '%s', '%s', 'ping', "+at+", 1)", uuid.New(), hook.ID, hook.ID, n))
		}
		must(db.ExecContext(t.Context(), "INSERT INTO webhook_deliveries (id, webhook_id, delivery_id, type, attempted_at, duration_ms) VALUES "+strings.Join(rows, ", ")))(t)
		for _, want := range []int{500, 0, 0} {
			if _, err := s.PruneWebhookDeliveries(t.Context()); err != nil {
				t.Error(err)
			}
			if n := queryOne[int](t, db, "SELECT count(*) FROM webhook_deliveries"); n != want {
				t.Errorf("%d attempts are kept, want %d", n, want)
			}
		}
	})
}
