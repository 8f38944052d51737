package store_test

import (
	"strings"
	"testing"

	"github.com/pressly/goose/v3"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/migrations"
	"github.com/clientapps/clientapps/store/storetest"
)

// TestMigrationRefoldsNames migrates names whose keys were made without normalization. Each name gets a new key, and so do the apps of a
// catalog app. When two names would get the same key, the later one keeps its old key.
func TestMigrationRefoldsNames(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		s := openSeeded(t, url, storetest.Page())
		first := must(s.CreateVendor(t.Context(), store.Fields{store.ColumnName: "Cafe\u0301"}, alice))(t)
		second := must(s.CreateVendor(t.Context(), store.Fields{store.ColumnName: "Café two"}, alice))(t)
		db := storetest.SQL(t, url)
		dialect := goose.DialectPostgres
		if strings.HasPrefix(url, "sqlite:") {
			dialect = goose.DialectSQLite3
		}
		must(must(migrations.New(dialect, db))(t).DownTo(t.Context(), 2))(t)
		for _, statement := range []string{
			"UPDATE catalog_apps SET canonical_name = 'Sla\u0308ck', name_key = 'sla\u0308ck'",
			"UPDATE apps SET name_key = 'sla\u0308ck'",
			"UPDATE catalog_vendors SET name_key = 'cafe\u0301' WHERE id = '" + first.ID.String() + "'",
			"UPDATE catalog_vendors SET name = 'Café', name_key = 'café' WHERE id = '" + second.ID.String() + "'",
			"UPDATE clients SET name = 'A\u030angstro\u0308m', name_key = 'a\u030angstro\u0308m'",
		} {
			must(db.ExecContext(t.Context(), statement))(t)
		}
		history := queryOne[int](t, db, "SELECT count(*) FROM app_changes")
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if now := queryOne[int](t, db, "SELECT count(*) FROM app_changes"); now != history {
			t.Errorf("the migration recorded %d changes, want none", now-history)
		}
		for query, want := range map[string]string{
			"SELECT count(*) FROM catalog_apps WHERE name_key <> 'släck'":                  "0",
			"SELECT count(*) FROM apps WHERE name_key <> 'släck'":                          "0",
			"SELECT count(*) FROM clients WHERE name_key <> 'ångström'":                    "0",
			"SELECT name_key FROM catalog_vendors WHERE id = '" + second.ID.String() + "'": "café",
			"SELECT name_key FROM catalog_vendors WHERE id = '" + first.ID.String() + "'":  "cafe\u0301",
		} {
			if got := queryOne[string](t, db, query); got != want {
				t.Errorf("%s: %q, want %q", query, got, want)
			}
		}
		// A rename resolves the conflict.
		must(s.UpdateVendor(t.Context(), first.ID, store.Fields{store.ColumnName: "Cafe\u0301 one"}, alice, nil))(t)
	})
}
