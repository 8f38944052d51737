package store_test

import (
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/fold"
	"github.com/clientapps/clientapps/store/storetest"
)

// Names that are canonical caseless matches have one key.
func TestCanonicalCaselessMatches(t *testing.T) {
	t.Parallel()
	for _, same := range [][]string{
		{"Café", "Cafe\u0301", "CAFÉ", "CAFE\u0301"},
		{"Å", "A\u030a", "\u212b", "å"},
		{"ǰ", "J\u030c", "j\u030c"},
		{"Straße", "STRASSE", "straẞe"},
		{"각", "\u1100\u1161\u11a8"},
		{"q\u0323\u0307", "q\u0307\u0323", "Q\u0307\u0323"},
		{"\u1fb3", "\u0391\u0345", "\u03b1\u03b9"},
		{"\u0345\u0301", "\u0301\u0345"},
	} {
		for _, name := range same[1:] {
			if got, want := fold.Name(name), fold.Name(same[0]); got != want {
				t.Errorf("%q is %q, %q is %q", name, got, same[0], want)
			}
		}
		if once := fold.Name(same[0]); fold.Name(once) != once {
			t.Errorf("%q is %q, and that is %q", same[0], once, fold.Name(once))
		}
	}
	for _, different := range [][2]string{{"Café", "Cafe"}, {"①", "1"}, {"ﬁ", "f i"}, {"i", "ı"}} {
		if fold.Name(different[0]) == fold.Name(different[1]) {
			t.Errorf("%q and %q have one key", different[0], different[1])
		}
	}
}

// Every character has the key of its other cases and forms, and the key of a key is the key: a name is found by what it is kept under.
func TestEveryCharacterFolds(t *testing.T) {
	t.Parallel()
	for r := range rune(unicode.MaxRune + 1) {
		if !utf8.ValidRune(r) {
			continue
		}
		name := string(r)
		key := fold.Name(name)
		for _, same := range []string{key, string(unicode.SimpleFold(r)), norm.NFC.String(name), norm.NFD.String(name), norm.NFD.String(key)} {
			if got := fold.Name(same); got != key {
				t.Errorf("%U has the key %+q, and %+q has %+q", r, key, same, got)
			}
		}
	}
}

// TestNamesAreFoldedAnew migrates names that were written before normalization counted. Each gets its key, apps follow their
// entry, and of two that are the same now the later keeps its own.
func TestNamesAreFoldedAnew(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		t.Parallel()
		s := seeded(t, url, storetest.Page())
		first := must(s.CreateVendor(t.Context(), store.Fields{store.ColumnName: "Cafe\u0301"}))(t)
		second := must(s.CreateVendor(t.Context(), store.Fields{store.ColumnName: "Café two"}))(t)
		db := storetest.SQL(t, url)
		for _, statement := range []string{
			"UPDATE catalog_apps SET canonical_name = 'Sla\u0308ck', name_key = 'sla\u0308ck'",
			"UPDATE apps SET name_key = 'sla\u0308ck'",
			"UPDATE catalog_vendors SET name_key = 'cafe\u0301' WHERE id = '" + first.ID.String() + "'",
			"UPDATE catalog_vendors SET name = 'Café', name_key = 'café' WHERE id = '" + second.ID.String() + "'",
			"UPDATE clients SET name = 'A\u030angstro\u0308m', name_key = 'a\u030angstro\u0308m'",
			"DELETE FROM goose_db_version WHERE version_id = 3",
		} {
			must(db.ExecContext(t.Context(), statement))(t)
		}
		history := one[int](t, db, "SELECT count(*) FROM app_changes")
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if now := one[int](t, db, "SELECT count(*) FROM app_changes"); now != history {
			t.Errorf("%d changes more", now-history)
		}
		for query, want := range map[string]string{
			"SELECT count(*) FROM catalog_apps WHERE name_key <> 'släck'":                  "0",
			"SELECT count(*) FROM apps WHERE name_key <> 'släck'":                          "0",
			"SELECT count(*) FROM clients WHERE name_key <> 'ångström'":                    "0",
			"SELECT name_key FROM catalog_vendors WHERE id = '" + second.ID.String() + "'": "café",
			"SELECT name_key FROM catalog_vendors WHERE id = '" + first.ID.String() + "'":  "cafe\u0301",
		} {
			if got := one[string](t, db, query); got != want {
				t.Errorf("%s: %q, want %q", query, got, want)
			}
		}
		// A rename parts them.
		must(s.UpdateVendor(t.Context(), first.ID, store.Fields{store.ColumnName: "Cafe\u0301 one"}, nil))(t)
	})
}
