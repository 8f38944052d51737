package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// tables lists all tables of the schema, so that one of a later migration is read too.
func tables(t *testing.T, db *sql.DB, url string) []string {
	t.Helper()
	query := "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
	if !strings.HasPrefix(url, "sqlite:") {
		query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
	}
	rows := must(db.QueryContext(t.Context(), query))(t)
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		if name != "goose_db_version" {
			names = append(names, name)
		}
	}
	if err := rows.Err(); err != nil || len(names) < 14 {
		t.Fatalf("tables: %v, %v", names, err)
	}
	return names
}

// mentions returns the rows of all tables that have one of the texts in them.
func mentions(t *testing.T, url string, texts ...string) []string {
	t.Helper()
	db := storetest.SQL(t, url)
	var found []string
	for _, table := range tables(t, db, url) {
		for _, row := range tableRows(t, db, table) {
			for _, text := range texts {
				if strings.Contains(row, text) {
					found = append(found, table+": "+row)
					break
				}
			}
		}
	}
	return found
}

// TestDeleteClient reads every table after a client was deleted. One change stays, which names neither the client nor its apps.
func TestDeleteClient(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		data := storetest.Page()
		data.CatalogApps = append(data.CatalogApps, catalogApp("Zoom"))
		s := openSeeded(t, url, data, withClock(clock))
		id := pageApp.ClientID
		must(s.UpdateClient(t.Context(), id, store.Fields{store.ColumnName: "A name to be erased"}, alice, nil))(t)
		must(s.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnLicenseCount: int32(5)}, alice, nil))(t)
		zoom := must(s.AddApp(t.Context(), id, idOf("Zoom"), nil, alice))(t)
		if err := s.RemoveApp(t.Context(), store.AppKey{ClientID: id, ID: zoom.ID}, alice, nil); err != nil {
			t.Fatal(err)
		}
		must(s.UpdateApp(t.Context(), otherApp, store.Fields{store.ColumnLicenseCount: int32(6)}, alice, nil))(t)
		both := must(s.CreateToken(t.Context(), nil, "of both", store.Token{Name: "of both", Scopes: "apps:read", ClientIDs: []uuid.UUID{id, otherApp.ClientID}}))(t)
		others := mentions(t, url, otherApp.ClientID.String())

		_, err := s.DeleteClient(t.Context(), id, writer, nil)
		wantError(t, err, &store.ClientNotSuspendedError{ID: id})
		suspended := suspend(t, s, id)
		_, err = s.DeleteClient(t.Context(), id, writer, &store.IfMatch{Tags: []string{"stale"}})
		wantError(t, err, &store.PreconditionError{})
		_, err = s.DeleteClient(t.Context(), idOf("nobody"), writer, nil)
		wantError(t, err, &store.NotFoundError{Kind: store.KindClient, ID: idOf("nobody")})
		must(s.Authenticate(t.Context(), "of both"))(t) // which is remembered

		clock.Advance(time.Minute)
		if gone := must(s.DeleteClient(t.Context(), id, writer, &store.IfMatch{Tags: []string{suspended.ETag()}}))(t); !gone {
			t.Fatal("a small client is not gone at once")
		}
		wantJSON(t, "what is left of the client", clientHistory(t, url, id),
			[]string{fmt.Sprintf("%s %d client %q null %s %s", uuid.Nil, suspended.Version+1, id, writer.Name, writer.RequestID)})
		left := mentions(t, url, id.String(), pageApp.ID.String(), zoom.ID.String(), "A name to be erased")
		if len(left) != 1 || !strings.HasPrefix(left[0], "app_changes: ") {
			t.Errorf("rows that mention the client: %v", left)
		}
		wantJSON(t, "rows of the other client", mentions(t, url, otherApp.ClientID.String()), others)
		if token := must(s.Authenticate(t.Context(), "of both"))(t); token.ID != both.ID || token.Covers(id) || !token.Covers(otherApp.ClientID) {
			t.Errorf("a token of both clients covers %v", token.ClientIDs)
		}
		wantDeleted(t, s, id)
		_, err = s.DeleteClient(t.Context(), id, writer, nil)
		wantError(t, err, &store.NotFoundError{Kind: store.KindClient, ID: id})
		_, err = s.CreateClient(t.Context(), id, "Again", alice)
		wantError(t, err, &store.ConflictError{Field: store.ColumnClientID, ID: id})
		if again := clientHistory(t, url, id); len(again) != 1 {
			t.Errorf("after an attempt to create the client again its history is %v", again)
		}
	})
}

// TestTokensDuringDeletion makes tokens for a client while it is deleted. None covers it afterwards.
func TestTokensDuringDeletion(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		servers := []*store.Store{openSeeded(t, url, storetest.Page()), openWithoutPolling(t, url)}
		for round := range 5 {
			id := idOf(fmt.Sprint("client ", round))
			must(servers[0].CreateClient(t.Context(), id, "Short", alice))(t)
			suspend(t, servers[0], id)
			ctx, stop := context.WithCancel(t.Context())
			var makers sync.WaitGroup
			for n := range 4 {
				makers.Go(func() {
					for ctx.Err() == nil {
						token := store.Token{Name: "of a client", Scopes: "apps:read", ClientIDs: []uuid.UUID{id, otherApp.ClientID}}
						_, err := servers[n%2].CreateToken(ctx, nil, uuid.NewString(), token)
						if missing := (*store.ReferenceError)(nil); err != nil && ctx.Err() == nil && !errors.As(err, &missing) {
							t.Error(err)
						}
					}
				})
			}
			time.Sleep(10 * time.Millisecond)
			if gone := must(servers[0].DeleteClient(t.Context(), id, alice, nil))(t); !gone {
				if err := servers[0].FinishDeletion(t.Context(), id); err != nil {
					t.Error(err)
				}
			}
			stop()
			makers.Wait()
			if left := mentions(t, url, id.String()); len(left) != 1 {
				t.Errorf("rows that mention the client: %v", left)
			}
		}
	})
}

// wantDeleted checks that no method finds a client.
func wantDeleted(t *testing.T, s *store.Store, id uuid.UUID) {
	t.Helper()
	want := &store.NotFoundError{Kind: store.KindClient, ID: id}
	key := store.AppKey{ClientID: id, ID: pageApp.ID}
	for name, write := range appWrites(idOf("Zoom")) {
		if err := write(t.Context(), s, key); !errors.As(err, new(*store.NotFoundError)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := s.GetClient(t.Context(), id)
	wantError(t, err, want)
	_, err = s.UpdateClient(t.Context(), id, store.Fields{store.ColumnStatus: store.StatusActive}, alice, nil)
	wantError(t, err, want)
	_, err = s.GetApp(t.Context(), key)
	wantError(t, err, want)
	_, err = s.ListAppChanges(t.Context(), key, fullPage(""))
	wantError(t, err, want)
	for _, filter := range []store.AppFilter{{}, {Query: "slack"}, {IsFavorite: new(false)}} {
		_, err = s.ListApps(t.Context(), id, filter, store.Page{Size: 1, SortBy: store.ColumnCanonicalName})
		wantError(t, err, want)
	}
	_, err = s.CreateToken(t.Context(), nil, uuid.NewString(), store.Token{Name: "of nobody", ClientIDs: []uuid.UUID{id}})
	wantError(t, err, &store.ReferenceError{Field: "client_ids", ID: id})
	_, err = s.CreateClient(t.Context(), id, "Again", alice)
	wantError(t, err, &store.ConflictError{Field: store.ColumnClientID, ID: id})
	for _, c := range must(s.ListClients(t.Context(), &store.Token{AllClients: true}, "", fullPage(store.ColumnName)))(t).Rows {
		if c.ID == id {
			t.Errorf("the client is listed: %s", asJSON(t, c))
		}
	}
}

// TestDeletionGoesOn finds a client whose server ended when it had marked the client. Two servers erase its rows, when no method of either
// finds the client any more. One of them ends in the middle, and on PostgreSQL all connections break now and then.
func TestDeletionGoesOn(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		data := largeClient("Large", 6000)
		page := storetest.Page()
		data.Clients, data.CatalogApps = append(data.Clients, page.Clients...), append(data.CatalogApps, page.CatalogApps...)
		data.Apps, data.Vendors = append(data.Apps, page.Apps...), page.Vendors
		here, there := openSeeded(t, url, data), openWithoutPolling(t, url)
		id := idOf("Large")
		suspend(t, here, id)
		db := storetest.SQL(t, url)
		if n := queryOne[int](t, db, "SELECT count(*) FROM app_changes WHERE client_id = '"+id.String()+"'"); n < 6000 {
			t.Fatalf("the client has %d changes", n)
		}
		must(db.ExecContext(t.Context(), "UPDATE clients SET version = version + 1, deleting_since = updated_at WHERE id = '"+id.String()+"'"))(t)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var erasing sync.WaitGroup
		ended, end := context.WithCancel(ctx)
		defer end()
		erasing.Go(func() { here.EraseDeletedClients(ended) })
		erasing.Go(func() { there.EraseDeletedClients(ctx) })
		shown := store.AppKey{ClientID: id, ID: data.Apps[0].ID}
		const rest = "SELECT (SELECT count(*) FROM apps WHERE client_id = ?) + (SELECT count(*) FROM app_changes WHERE client_id = ?) + " +
			"(SELECT count(*) FROM clients WHERE id = ?)"
		count := strings.ReplaceAll(rest, "?", "'"+id.String()+"'")
		all := queryOne[int](t, db, count)
		for isShown := true; isShown; time.Sleep(5 * time.Millisecond) {
			left := queryOne[int](t, db, count)
			_, notHere := here.GetApp(t.Context(), shown)
			_, notThere := there.GetApp(t.Context(), shown)
			if isShown = notHere == nil || notThere == nil; isShown && left < all {
				t.Fatalf("an app is shown when %d rows of the client are left", left)
			}
		}
		wantDeleted(t, here, id)
		wantDeleted(t, there, id)
		seen := map[int]bool{}
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
			left := queryOne[int](t, db, count)
			if left == 1 {
				break
			}
			again := seen[left]
			if !again {
				deadline = time.Now().Add(time.Minute)
			}
			if seen[left] = true; len(seen) == 3 {
				end()
			}
			if len(seen) >= 4 && len(seen) <= 6 && !again && !strings.HasPrefix(url, "sqlite:") {
				must(db.ExecContext(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "+
					"WHERE datname = current_database() AND pid <> pg_backend_pid()"))(t)
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d rows are left", left)
			}
		}
		stop()
		erasing.Wait()
		if len(seen) < 2 {
			t.Errorf("it was erased in %d steps", len(seen))
		}
		if left := mentions(t, url, id.String()); len(left) != 1 {
			t.Errorf("rows that mention the client: %v", left)
		}
		must(here.GetApp(t.Context(), pageApp))(t)
		must(there.GetApp(t.Context(), otherApp))(t)
	})
}

// largeClient returns a client with this many apps.
func largeClient(name string, apps int) store.Dataset {
	data := store.Dataset{Clients: []store.Client{client(name)}}
	for n := range apps {
		entry := fmt.Sprintf("%s %d", name, n)
		data.CatalogApps = append(data.CatalogApps, catalogApp(entry))
		data.Apps = append(data.Apps, app(name, entry))
	}
	return data
}
