package store_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// A result must not depend on the time zone of the server.
func init() { time.Local = time.FixedZone("elsewhere", -5*60*60) }

// alice is the author of most writes in tests.
var alice = store.Actor{ID: idOf("alice"), Name: "alice", RequestID: "alice-1"}

// idOf returns the id of the object that a test calls by this name: the same in every database.
func idOf(name string) uuid.UUID { return uuid.NewSHA1(uuid.NameSpaceOID, []byte(name)) }

// asRead returns an app as it is read: without who wrote it last.
func asRead(app store.App) store.App {
	app.ActorID, app.ActorName, app.RequestID = uuid.Nil, "", ""
	return app
}

// must returns the result of a call that must not fail: must(s.GetApp(ctx, key))(t).
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// wantError fails unless err is or wraps an error that equals want.
func wantError[E error](t testing.TB, err error, want E) {
	t.Helper()
	var got E
	if !errors.As(err, &got) || !reflect.DeepEqual(got, want) {
		t.Errorf("error is %#v, want %#v", err, want)
	}
}

// asJSON returns all that a row shows, for comparison and for messages.
func asJSON(t testing.TB, v any) string {
	t.Helper()
	return string(must(json.MarshalIndent(v, "", " "))(t))
}

func wantJSON(t testing.TB, what string, got, want any) {
	t.Helper()
	if g, w := asJSON(t, got), asJSON(t, want); g != w {
		t.Errorf("%s is %s\nwant %s", what, g, w)
	}
}

// clockAhead returns a clock that shows a later time than storetest.Now.
func clockAhead(by time.Duration) *storetest.Clock {
	clock := &storetest.Clock{}
	clock.Advance(by)
	return clock
}

// openSeeded opens a store that does not poll for changes of other stores, and seeds the database.
func openSeeded(t testing.TB, url string, data store.Dataset, configure ...func(*store.Config)) *store.Store {
	t.Helper()
	s := openWithoutPolling(t, url, configure...)
	if err := s.Seed(t.Context(), data); err != nil {
		t.Fatal(err)
	}
	return s
}

// openWithoutPolling opens a store that does not poll for changes of other stores.
func openWithoutPolling(t testing.TB, url string, configure ...func(*store.Config)) *store.Store {
	t.Helper()
	noPolling := func(cfg *store.Config) { cfg.CatalogPollInterval = time.Hour }
	return storetest.Open(t, url, append([]func(*store.Config){noPolling}, configure...)...)
}

func withClock(clock *storetest.Clock) func(*store.Config) {
	return func(cfg *store.Config) { cfg.Clock = clock.Now }
}

// queryer is a database or a transaction.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// queryOne reads a single value, bypassing the store.
func queryOne[T any](t testing.TB, db queryer, query string, args ...any) T {
	t.Helper()
	var v T
	if err := db.QueryRowContext(t.Context(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func revision(t testing.TB, db *sql.DB) int64 {
	t.Helper()
	return queryOne[int64](t, db, "SELECT revision FROM catalog_state")
}

// client, catalogApp and app return rows of a dataset, created at the time of the reference page.
func client(name string) store.Client {
	return store.Client{ID: idOf(name), Name: name, Status: "active", CreatedAt: storetest.Now, UpdatedAt: storetest.Now}
}

func catalogApp(name string) store.CatalogApp {
	return store.CatalogApp{ID: idOf(name), CanonicalName: name, CreatedAt: storetest.Now, UpdatedAt: storetest.Now}
}

// app returns the client's app of a catalog app.
func app(client, catalog string) store.App {
	return store.App{
		ClientID: idOf(client), ID: idOf(client + " has " + catalog), CatalogAppID: idOf(catalog),
		ActorName: "seed", RequestID: "seed", CreatedAt: storetest.Now, UpdatedAt: storetest.Now,
	}
}

func appKey(client, catalog string) store.AppKey {
	return store.AppKey{ClientID: idOf(client), ID: idOf(client + " has " + catalog)}
}

// fullPage asks for a whole list at once.
func fullPage(sortBy store.Column) store.Page { return store.Page{Size: 1000, SortBy: sortBy} }

// history returns all changes of an app, newest first.
func history(t testing.TB, s *store.Store, key store.AppKey) []store.AppChange {
	t.Helper()
	return withoutFeed(must(s.ListAppChanges(t.Context(), key, fullPage("")))(t).Rows)
}

// withoutFeed removes what only the change feed has: see TestFollowersMissNothing.
func withoutFeed(rows []store.AppChange) []store.AppChange {
	for i := range rows {
		rows[i].Position, rows[i].CatalogAppID = 0, nil
	}
	return rows
}

// change returns an entry of a history.
func change(key store.AppKey, version int64, field, old, now string, by store.Actor, at time.Time) store.AppChange {
	return store.AppChange{
		ClientID: key.ClientID, AppID: key.ID, Version: version, Field: field, OldValue: old, NewValue: now,
		ActorID: by.ID, ActorName: by.Name, RequestID: by.RequestID, ChangedAt: at,
	}
}

// allRows returns all rows of all tables that callers can write.
func allRows(t testing.TB, db *sql.DB) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for _, table := range []string{
		"clients", "apps", "app_changes", "catalog_state", "catalog_revisions", "catalog_changes", "catalog_apps", "catalog_app_categories",
		"catalog_vendors", "catalog_categories", "catalog_url_patterns", "catalog_desktop_aliases",
	} {
		found[table] = tableRows(t, db, table)
	}
	return found
}

func tableRows(t testing.TB, db *sql.DB, table string) []string {
	t.Helper()
	rows := must(db.QueryContext(t.Context(), "SELECT * FROM "+table))(t)
	defer rows.Close()
	columns := must(rows.Columns())(t)
	var found []string
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for n := range values {
			into[n] = &values[n]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		found = append(found, asJSON(t, values))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	return found
}

// onAllMachines returns a query that adds up what a query that counts finds on each machine.
func onAllMachines(query string) string {
	if storetest.OnCitus() {
		query = "SELECT sum(result::int) FROM run_command_on_all_nodes($$" + query + "$$)"
	}
	return query
}

// waitForLocks returns when this many statements wait for locks in this database, which must be PostgreSQL.
func waitForLocks(t testing.TB, db *sql.DB, statements int) {
	t.Helper()
	query := onAllMachines("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
	for deadline := time.Now().Add(time.Minute); queryOne[int](t, db, query) != statements; {
		if time.Now().After(deadline) {
			t.Fatalf("there are never %d statements that wait for a lock", statements)
		}
	}
}

var (
	pageApp  = store.AppKey{ClientID: storetest.ClientID, ID: storetest.AppID}
	otherApp = store.AppKey{ClientID: storetest.OtherClientID, ID: storetest.OtherAppID}
	writer   = store.Actor{ID: uuid.MustParse("0d9c8b7a-6f5e-4d3c-8b2a-190817263544"), Name: "nightly sync", RequestID: "request-1"}
)

// eachDatabase runs a test on both databases, with the data of the reference page.
func eachDatabase(t *testing.T, test func(t *testing.T, url string, s *store.Store)) {
	t.Helper()
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		s := storetest.Open(t, url, withClock(&storetest.Clock{}))
		if err := s.Seed(t.Context(), storetest.Page()); err != nil {
			t.Fatal(err)
		}
		test(t, url, s)
	})
}

// dump returns the whole content of tables as text, to see what a statement wrote.
func dump(t *testing.T, url string, tables ...string) string {
	t.Helper()
	db := storetest.SQL(t, url)
	var lines []string
	for _, table := range tables {
		rows, err := db.QueryContext(t.Context(), "SELECT * FROM "+table)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, rowTexts(t, table, rows)...)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func rowTexts(t *testing.T, table string, rows *sql.Rows) []string {
	t.Helper()
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		line := table
		for i, v := range values {
			line += fmt.Sprintf(" %s=%v", columns[i], v)
		}
		lines = append(lines, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// get reads an app, which must exist.
func get(t *testing.T, s *store.Store, key store.AppKey) store.App {
	t.Helper()
	app, err := s.GetApp(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return app
}

// bulkSet sets one boolean of several apps, and returns those that the client does not have.
func bulkSet(
	ctx context.Context, s *store.Store, clientID uuid.UUID, ids []uuid.UUID, column store.Column, value bool, by store.Actor,
) (missing []uuid.UUID, err error) {
	var updates []store.AppUpdate
	for _, id := range ids {
		if !slices.ContainsFunc(updates, func(u store.AppUpdate) bool { return u.ID == id }) {
			updates = append(updates, store.AppUpdate{ID: id, Fields: store.Fields{column: value}})
		}
	}
	outcomes, err := s.UpdateApps(ctx, clientID, updates, false, by)
	for i, outcome := range outcomes {
		if outcome != nil {
			missing = append(missing, updates[i].ID)
		}
	}
	return missing, err
}
