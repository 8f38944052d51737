package store_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/casefold"
	"github.com/clientapps/clientapps/store/storetest"
)

// names are names that SQLite and PostgreSQL sort, fold and compare differently.
var names = []string{
	"zebra", "Zebra 2", "Äpfel", "apfel", "Apfel 2", "éclair", "Eclair", "eclair\u0301", "straße", "STRASSE 2", "İstanbul",
	"istanbul", "ıstanbul", "ΣΊΣΥΦΟΣ", "σίσυφος 2", "10", "9", "1Password", "_under", "-dash", "😀 app", "日本", "a b", "ab", "A-B",
}

func TestBothDatabasesSortNamesAlike(t *testing.T) {
	t.Parallel()
	want := slices.Clone(names)
	slices.SortFunc(want, func(a, b string) int { return strings.Compare(casefold.Name(a), casefold.Name(b)) })
	storetest.Each(t, func(t *testing.T, url string) {
		s := storetest.Open(t, url)
		var data store.Dataset
		for _, name := range names {
			data.Clients = append(data.Clients, store.Client{
				ID: uuid.New(), Name: name, Status: "active", CreatedAt: storetest.Now, UpdatedAt: storetest.Now,
			})
		}
		if err := s.Seed(t.Context(), data); err != nil {
			t.Fatal(err)
		}
		clients, err := s.AllClients(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range clients {
			got = append(got, c.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	})
}

// TestIDsSortBytewise lists clients whose names are equal: they are sorted by id.
func TestIDsSortBytewise(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := storetest.Open(t, url)
		var data store.Dataset
		var want []string
		for _, id := range []string{
			"ff000000-0000-0000-0000-000000000000", "0a000000-0000-0000-0000-000000000000", "a0000000-0000-0000-0000-000000000000",
			"00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-000000000009",
		} {
			want = append(want, id)
			data.Clients = append(data.Clients, store.Client{
				ID: uuid.MustParse(id), Name: "Same", Status: "active", CreatedAt: storetest.Now, UpdatedAt: storetest.Now,
			})
		}
		slices.Sort(want)
		if err := s.Seed(t.Context(), data); err != nil {
			t.Fatal(err)
		}
		clients, err := s.AllClients(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range clients {
			if c.ID.String() != want[i] {
				t.Errorf("%d: %s, want %s", i, c.ID, want[i])
			}
		}
	})
}

// TestNamesAreUniqueWithoutRegardToCase bypasses the store: the tables have the constraint.
func TestNamesAreUniqueWithoutRegardToCase(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string, _ *store.Store) {
		for _, table := range []string{"catalog_vendors", "catalog_categories"} {
			insert := "INSERT INTO " + table + ` (id, name, name_key, version, created_at, updated_at)
				SELECT '` + uuid.NewString() + `', 'x', name_key, 1, created_at, updated_at FROM ` + table
			if _, err := storetest.SQL(t, url).ExecContext(t.Context(), insert); err == nil {
				t.Errorf("%s accepted a name twice", table)
			}
		}
	})
}
