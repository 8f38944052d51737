package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

func suspend(t testing.TB, s *store.Store, client uuid.UUID) store.Client {
	t.Helper()
	return must(s.UpdateClient(t.Context(), client, store.Fields{store.ColumnStatus: store.StatusSuspended}, alice, nil))(t)
}

func activate(t testing.TB, s *store.Store, client uuid.UUID) {
	t.Helper()
	must(s.UpdateClient(t.Context(), client, store.Fields{store.ColumnStatus: store.StatusActive}, alice, nil))(t)
}

// appWrites are the methods that write to the apps of a client.
func appWrites(catalogApp uuid.UUID) map[string]func(ctx context.Context, s *store.Store, key store.AppKey) error {
	patch := func(fields store.Fields, match *store.IfMatch) func(context.Context, *store.Store, store.AppKey) error {
		return func(ctx context.Context, s *store.Store, key store.AppKey) error {
			_, err := s.UpdateApp(ctx, key, fields, alice, match)
			return err
		}
	}
	stale := &store.IfMatch{Tags: []string{"stale"}}
	return map[string]func(ctx context.Context, s *store.Store, key store.AppKey) error{
		"patch":                      patch(store.Fields{store.ColumnLicenseCount: int32(99)}, nil),
		"patch that changes nothing": patch(store.Fields{store.ColumnIsFavorite: false}, nil),
		"empty patch":                patch(store.Fields{}, nil),
		"patch with a stale tag":     patch(store.Fields{store.ColumnLicenseCount: int32(99)}, stale),
		"empty patch with a tag":     patch(store.Fields{}, stale),
		"bulk": func(ctx context.Context, s *store.Store, key store.AppKey) error {
			_, err := bulkSet(ctx, s, key.ClientID, []uuid.UUID{key.ID}, store.ColumnIsApproved, true, alice)
			return err
		},
		"add": func(ctx context.Context, s *store.Store, key store.AppKey) error {
			_, err := s.AddApp(ctx, key.ClientID, catalogApp, nil, alice)
			return err
		},
		"remove": func(ctx context.Context, s *store.Store, key store.AppKey) error {
			return s.RemoveApp(ctx, key, alice, nil)
		},
		"remove with a stale tag": func(ctx context.Context, s *store.Store, key store.AppKey) error {
			return s.RemoveApp(ctx, key, alice, stale)
		},
		"import": func(ctx context.Context, s *store.Store, key store.AppKey) error {
			_, err := s.ImportApps(ctx, key.ClientID, appRows(store.AppRow{Name: "zoom"}), alice, store.ImportOptions{})
			return err
		},
		"dry run of an import": func(ctx context.Context, s *store.Store, key store.AppKey) error {
			_, err := s.ImportApps(store.DryRun(ctx), key.ClientID, appRows(store.AppRow{Name: "zoom"}), alice, store.ImportOptions{})
			return err
		},
	}
}

// TestSuspendedClient checks that no method writes to the apps of a suspended client, whether or not it would change anything, and that
// all of them do again when the client is active.
func TestSuspendedClient(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		data := storetest.Page()
		data.CatalogApps = append(data.CatalogApps, catalogApp("Zoom"))
		s := openSeeded(t, url, data)
		must(s.GetApp(t.Context(), pageApp))(t)
		suspended := suspend(t, s, pageApp.ClientID)
		if suspended.Status != store.StatusSuspended || suspended.Version != 2 {
			t.Errorf("the client is %s", asJSON(t, suspended))
		}
		before := allRows(t, storetest.SQL(t, url))
		want := &store.ClientSuspendedError{ID: pageApp.ClientID}
		missing := store.AppKey{ClientID: pageApp.ClientID, ID: idOf("unknown")}
		for name, write := range appWrites(idOf("Zoom")) {
			if err := write(t.Context(), s, pageApp); !errors.As(err, new(*store.ClientSuspendedError)) {
				t.Errorf("%s: %v", name, err)
			}
			wantError(t, write(t.Context(), s, missing), want)
			wantError(t, write(t.Context(), s, store.AppKey{ClientID: idOf("nobody"), ID: pageApp.ID}),
				&store.NotFoundError{Kind: store.KindClient, ID: idOf("nobody")})
		}
		wantJSON(t, "the database", allRows(t, storetest.SQL(t, url)), before)

		// Reading goes on, and so do others and the client itself.
		must(s.GetApp(t.Context(), pageApp))(t)
		must(s.ListApps(t.Context(), pageApp.ClientID, store.AppFilter{}, fullPage(store.ColumnCanonicalName)))(t)
		must(s.ListAppChanges(t.Context(), pageApp, fullPage("")))(t)
		must(s.UpdateApp(t.Context(), otherApp, store.Fields{store.ColumnLicenseCount: int32(3)}, alice, nil))(t)
		must(s.UpdateClient(t.Context(), pageApp.ClientID, store.Fields{store.ColumnName: "New"}, alice, nil))(t)

		activate(t, s, pageApp.ClientID)
		writes := appWrites(idOf("Zoom"))
		for _, name := range []string{"patch", "patch that changes nothing", "empty patch", "bulk", "add", "import", "remove"} {
			if err := writes[name](t.Context(), s, pageApp); err != nil {
				t.Errorf("%s after the client was activated: %v", name, err)
			}
		}
	})
}

// TestSuspensionTakesEffectAtOnce suspends a client on one server while others write on two. When the suspension returns, no write is
// under way, and each that begins later is refused.
func TestSuspensionTakesEffectAtOnce(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		data := storetest.Page()
		data.CatalogApps = append(data.CatalogApps, catalogApp("Zoom"))
		servers := []*store.Store{openSeeded(t, url, data), openWithoutPolling(t, url)}
		db := storetest.SQL(t, url)
		for round := range 5 {
			activate(t, servers[0], pageApp.ClientID)
			ctx, stop := context.WithCancel(t.Context())
			var writers sync.WaitGroup
			for n := range 8 {
				writers.Go(func() { writeUntil(ctx, t, servers[n%2], n) })
			}
			time.Sleep(20 * time.Millisecond)
			suspend(t, servers[round%2], pageApp.ClientID)
			left := [2][]string{tableRows(t, db, "apps"), tableRows(t, db, "app_changes")}
			for n := range 4 {
				_, err := servers[n%2].UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnLicenseCount: int32(7)}, alice, nil)
				wantError(t, err, &store.ClientSuspendedError{ID: pageApp.ClientID})
			}
			time.Sleep(100 * time.Millisecond)
			wantJSON(t, "what is written after a suspension", [2][]string{tableRows(t, db, "apps"), tableRows(t, db, "app_changes")}, left)
			stop()
			writers.Wait()
		}
	})
}

// writeUntil writes to the page's client in several ways, as long as it can.
func writeUntil(ctx context.Context, t *testing.T, s *store.Store, n int) {
	t.Helper()
	for i := 0; ctx.Err() == nil; i++ {
		var err error
		switch n % 4 {
		case 0, 1:
			_, err = s.UpdateApp(ctx, pageApp, store.Fields{store.ColumnLicenseCount: int32(i % 100)}, alice, nil)
		case 2:
			_, err = bulkSet(ctx, s, pageApp.ClientID, []uuid.UUID{pageApp.ID}, store.ColumnIsApproved, i%2 == 0, alice)
		case 3:
			var added store.App
			if added, err = s.AddApp(ctx, pageApp.ClientID, idOf("Zoom"), nil, alice); err == nil {
				err = s.RemoveApp(ctx, store.AppKey{ClientID: pageApp.ClientID, ID: added.ID}, alice, nil)
			}
		}
		var suspended *store.ClientSuspendedError
		var taken *store.ConflictError
		if err != nil && ctx.Err() == nil && !errors.As(err, &suspended) && !errors.As(err, &taken) {
			t.Errorf("a write while the client is suspended and activated: %v", err)
			return
		}
	}
}

// TestSuspensionWaitsForWriters has a write wait for a row that another transaction has locked when its client is suspended. The
// suspension returns when the write has ended, and InDoubtError when the write does not end in time.
func TestSuspensionWaitsForWriters(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	s := openSeeded(t, url, storetest.Page(), func(cfg *store.Config) { cfg.Timeout, cfg.LockTimeout = 2*time.Second, time.Second })
	db := storetest.SQL(t, url)
	lock := func() (unlock func()) {
		tx := must(db.BeginTx(t.Context(), nil))(t)
		must(tx.ExecContext(t.Context(), "SELECT 1 FROM apps WHERE client_id = $1 AND id = $2 FOR UPDATE", pageApp.ClientID, pageApp.ID))(t)
		return func() { _ = tx.Rollback() }
	}
	unlock := lock()
	patched, suspended := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := s.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnLicenseCount: int32(77)}, alice, nil)
		patched <- err
	}()
	waitForLocks(t, db, 1)
	go func() {
		_, err := s.UpdateClient(t.Context(), pageApp.ClientID, store.Fields{store.ColumnStatus: store.StatusSuspended}, alice, nil)
		suspended <- err
	}()
	select {
	case err := <-suspended:
		t.Errorf("the suspension returned while a write was under way: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	unlock()
	if err := <-suspended; err != nil {
		t.Errorf("suspension: %v", err)
	}
	select {
	case err := <-patched:
		if err != nil {
			wantError(t, err, &store.ClientSuspendedError{ID: pageApp.ClientID})
		}
	case <-time.After(time.Second):
		t.Error("the write is still under way")
	}

	activate(t, s, pageApp.ClientID)
	defer lock()()
	_, err := s.UpdateClient(t.Context(), pageApp.ClientID, store.Fields{store.ColumnStatus: store.StatusSuspended}, alice, nil)
	var unknown *store.InDoubtError
	if !errors.As(err, &unknown) {
		t.Errorf("the suspension behind a transaction that does not end: %v", err)
	}
	_, err = s.UpdateApp(t.Context(), pageApp, store.Fields{}, alice, nil)
	wantError(t, err, &store.ClientSuspendedError{ID: pageApp.ClientID})
}

// TestClientHistory checks what the history keeps of a client itself, and that it is not taken for the history of an app.
func TestClientHistory(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		s := openSeeded(t, url, storetest.Page(), withClock(clock))
		id := idOf("a client of its own id")
		must(s.CreateClient(t.Context(), id, `The "Örk" \ Co.`, alice))(t)
		must(s.UpdateClient(t.Context(), id, store.Fields{store.ColumnName: "New", store.ColumnStatus: store.StatusSuspended}, writer, nil))(t)
		must(s.UpdateClient(t.Context(), id, store.Fields{store.ColumnStatus: store.StatusSuspended}, writer, nil))(t)
		_, err := s.CreateClient(t.Context(), id, "Another", alice)
		wantError(t, err, &store.ConflictError{Field: store.ColumnClientID, ID: id})

		row := func(version int64, field, old, now string, by store.Actor) string {
			return fmt.Sprintf("%s %d %s %s %s %s %s", uuid.Nil, version, field, old, now, by.Name, by.RequestID)
		}
		want := []string{
			row(1, "client", "null", `"`+id.String()+`"`, alice),
			row(1, "client_name", "null", `"The \"Örk\" \\ Co."`, alice),
			row(2, "client_name", `"The \"Örk\" \\ Co."`, `"New"`, writer),
			row(2, "client_status", `"active"`, `"suspended"`, writer),
		}
		wantJSON(t, "the history of the client", clientHistory(t, url, id), want)
		_, err = s.ListAppChanges(t.Context(), store.AppKey{ClientID: id}, fullPage(""))
		wantError(t, err, &store.NotFoundError{Kind: store.KindApp, ID: uuid.Nil})
	})
}

// clientHistory returns all changes of a client and its apps.
func clientHistory(t *testing.T, url string, client uuid.UUID) []string {
	t.Helper()
	query := "SELECT app_id, version, field, old_value, new_value, actor_name, request_id FROM app_changes " +
		"WHERE client_id = '" + client.String() + "' ORDER BY app_id, version, field"
	rows := must(storetest.SQL(t, url).QueryContext(t.Context(), query))(t)
	defer rows.Close()
	changes := []string{}
	for rows.Next() {
		var app, field, before, after, actor, request string
		var version int64
		if err := rows.Scan(&app, &version, &field, &before, &after, &actor, &request); err != nil {
			t.Fatal(err)
		}
		changes = append(changes, fmt.Sprintf("%s %d %s %s %s %s %s", app, version, field, before, after, actor, request))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return changes
}
