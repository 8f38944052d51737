//go:build citus

package store_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// These run with make test-citus only.

// TestCitusDatabaseInUse distributes a database with rows, and wants the same rows on every machine, or counted once.
func TestCitusDatabaseInUse(t *testing.T) {
	t.Parallel()
	url := storetest.EmptyCluster(t)
	fillForCitus(t, url)
	tables := movedTables(t)
	before, history := dump(t, url, tables...), dump(t, url, "catalog_changes")
	storetest.Distribute(t, url)
	for _, node := range append(storetest.Workers(url), url) {
		wantText(t, "a table of "+node, dump(t, node, tables...), before)
		wantText(t, "the history of the catalog on "+node, dump(t, node, "catalog_changes"), history)
	}
	for _, node := range append(storetest.Workers(url), url) {
		writesOnCitus(t, url, node)
	}
}

// TestCitusMachineAdded removes a machine, and adds an empty one in its place.
func TestCitusMachineAdded(t *testing.T) {
	t.Parallel()
	url := storetest.EmptyCluster(t)
	fillForCitus(t, url)
	storetest.Distribute(t, url)
	db, machine := storetest.SQL(t, url), storetest.Workers(url)[1]
	before := dump(t, url, movedTables(t)...)
	run := func(statements ...string) {
		t.Helper()
		for _, statement := range statements {
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
	}
	run(strings.Replace(storetest.CitusCall(t, "citus_drain_node", machine), ")", ", 'block_writes')", 1),
		storetest.CitusCall(t, "citus_remove_node", machine))
	recreate(t, machine)
	run(storetest.CitusCall(t, "citus_add_node", machine))
	storetest.Deploy(t, url, "citus.sql")
	run("SELECT rebalance_table_shards(shard_transfer_mode := 'block_writes')")
	for _, node := range append(storetest.Workers(url), url) {
		wantText(t, "a table of "+node, dump(t, node, movedTables(t)...), before)
		wantText(t, "the history of the catalog on "+node, dump(t, node, "catalog_changes"), dump(t, url, "catalog_changes"))
	}
	writesOnCitus(t, url, machine)
}

// TestCitusSessionsDoNotGrow patches an app many times in one session, on the machine that has it and on the other. Some versions of Citus
// keep a plan of each execution of a prepared statement.
func TestCitusSessionsDoNotGrow(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	openSeeded(t, url, storetest.Page())
	const memory = "SELECT sum(used_bytes)::bigint FROM pg_backend_memory_contexts"
	const patch = "UPDATE apps SET license_count = $3, version = version + 1 WHERE client_id = $1 AND id = $2"
	for _, node := range append(storetest.Workers(url), url) {
		conn := must(storetest.SQL(t, node).Conn(t.Context()))(t)
		t.Cleanup(func() { _ = conn.Close() })
		var before int64
		for n := range 300 {
			must(conn.ExecContext(t.Context(), patch, pageApp.ClientID, pageApp.ID, n+10))(t)
			if n == 50 { // when everything is cached
				before = queryOne[int64](t, conn, memory)
			}
		}
		if grown := queryOne[int64](t, conn, memory) - before; grown > 1<<20 {
			t.Errorf("the session of %s has grown by %d KiB", node, grown>>10)
		}
	}
}

// recreate replaces the database of a machine by an empty one with the extension.
func recreate(t *testing.T, machine string) {
	t.Helper()
	u := must(url.Parse(machine))(t)
	name := strings.TrimPrefix(u.Path, "/")
	u.Path = "/postgres"
	for at, statements := range map[string][]string{u.String(): {"DROP DATABASE " + name + " WITH (FORCE)", "CREATE DATABASE " + name}} {
		for _, statement := range statements {
			must(storetest.SQL(t, at).ExecContext(t.Context(), statement))(t)
		}
	}
	must(storetest.SQL(t, machine).ExecContext(t.Context(), "CREATE EXTENSION citus"))(t)
}

// fillForCitus migrates a database, and leaves rows with a history in it.
func fillForCitus(t *testing.T, url string) {
	t.Helper()
	s := must(store.Open(store.Config{URL: url}))(t)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	data := storetest.Page()
	for n := range 30 {
		app := catalogApp("App " + string(rune('A'+n)))
		data.CatalogApps = append(data.CatalogApps, app)
		data.AppCategories = append(data.AppCategories, store.CatalogAppCategory{CatalogAppID: app.ID, CategoryID: storetest.CategoryID})
	}
	if err := s.Seed(t.Context(), data); err != nil {
		t.Fatal(err)
	}
	for _, key := range []store.AppKey{pageApp, otherApp} {
		for _, a := range data.CatalogApps[1:] {
			added := must(s.AddApp(t.Context(), key.ClientID, a.ID, store.Fields{store.ColumnIsFavorite: true}, alice))(t)
			if a.CanonicalName > "App M" {
				if err := s.RemoveApp(t.Context(), store.AppKey{ClientID: key.ClientID, ID: added.ID}, alice, nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		must(s.UpdateApp(t.Context(), key, store.Fields{store.ColumnIsApproved: true}, alice, nil))(t)
	}
	must(s.UpdateCatalogApp(t.Context(), storetest.CatalogID, store.Fields{store.ColumnCanonicalName: "Slack 2"}, &[]uuid.UUID{}, alice, nil))(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// writesOnCitus writes through a server of a machine, and wants each change once in the history, apps counted, and the history of the
// catalog on every machine.
func writesOnCitus(t *testing.T, coordinator, node string) {
	t.Helper()
	s := storetest.Open(t, node)
	patched := must(s.UpdateApp(t.Context(), otherApp, store.Fields{store.ColumnLicenseCount: int32(queryOne[int](t, storetest.SQL(t, coordinator),
		"SELECT version FROM apps WHERE client_id = $1 AND id = $2", otherApp.ClientID, otherApp.ID))}, alice, nil))(t)
	db := storetest.SQL(t, coordinator)
	if n := queryOne[int](t, db, "SELECT count(*) FROM app_changes WHERE client_id = $1 AND app_id = $2 AND version = $3",
		otherApp.ClientID, otherApp.ID, patched.Version); n != 1 {
		t.Errorf("through %s: %d rows of history for a patch", node, n)
	}
	vendor := must(s.CreateVendor(t.Context(), store.Fields{store.ColumnName: "Vendor of " + node}, alice))(t)
	app := must(s.CreateCatalogApp(t.Context(), store.Fields{store.ColumnCanonicalName: "Made on " + node, store.ColumnVendorID: vendor.ID},
		[]uuid.UUID{storetest.CategoryID}, alice))(t)
	must(s.AddApp(t.Context(), otherApp.ClientID, app.ID, nil, alice))(t)
	if n := queryOne[int](t, db, "SELECT (SELECT count(*) FROM apps WHERE client_id = $1) - (SELECT sum(total) FROM client_app_counts WHERE client_id = $1)",
		otherApp.ClientID); n != 0 {
		t.Errorf("through %s: %d apps are not counted", node, n)
	}
	want := dump(t, coordinator, "catalog_changes")
	if !strings.Contains(want, "Made on "+node) || !strings.Contains(want, "category_ids") {
		t.Errorf("the history of the catalog misses what %s wrote", node)
	}
	for _, machine := range storetest.Workers(coordinator) {
		wantText(t, "the history of the catalog on "+machine, dump(t, machine, "catalog_changes"), want)
	}
}

// movedTables are the tables that deploy/citus.sql moves, but for what it changes on purpose.
func movedTables(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(readCitus(t).order, func(table string) bool { return table == "change_feed" })
}

func wantText(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s is\n%s\nwant\n%s", what, got, want)
	}
}
