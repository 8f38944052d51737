package store_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// TestSnapshotAfterWrites changes the catalog at random through two stores. Both stores must show the same rows, orders and tags as a
// store that has just loaded the whole catalog.
func TestSnapshotAfterWrites(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		data := store.Dataset{
			Vendors:    []store.Vendor{{ID: idOf("Acme"), Name: "Acme"}, {ID: idOf("Zeta"), Name: "Zeta"}},
			Categories: []store.Category{{ID: idOf("Chat"), Name: "Chat"}, {ID: idOf("Mail"), Name: "Mail"}},
		}
		for range 10 {
			data.CatalogApps = append(data.CatalogApps, catalogApp(randomName(random)))
		}
		stores := []*store.Store{openSeeded(t, url, data), openWithoutPolling(t, url)}
		for n := range 40 {
			writes := random.IntN(2)
			changeAtRandom(t, stores[writes], random)
			fresh := openWithoutPolling(t, url)
			for i, s := range stores {
				what := fmt.Sprintf("write %d of store %d, shown by store %d", n, writes, i)
				wantCatalog(t, what, s, fresh)
			}
			if t.Failed() {
				return
			}
		}
	})
}

// wantCatalog fails unless two stores list the catalog alike in each order.
func wantCatalog(t *testing.T, what string, s, other *store.Store) {
	t.Helper()
	for _, by := range []store.Column{store.ColumnCanonicalName, store.ColumnCreatedAt, store.ColumnUpdatedAt} {
		got := must(s.ListCatalogApps(t.Context(), store.CatalogFilter{}, fullPage(by)))(t)
		want := must(other.ListCatalogApps(t.Context(), store.CatalogFilter{}, fullPage(by)))(t)
		wantJSON(t, fmt.Sprintf("%s, by %s", what, by), got, want)
		for i := range min(len(got.Rows), len(want.Rows)) {
			row := want.Rows[i]
			if got.Rows[i].ETag() != row.ETag() {
				t.Errorf("%s: the tag of %s is %s, want %s", what, row.CanonicalName, got.Rows[i].ETag(), row.ETag())
			}
			wantJSON(t, what+", by id", must(s.GetCatalogApp(t.Context(), row.ID))(t), row)
		}
	}
	names := fullPage(store.ColumnName)
	wantJSON(t, what+", vendors", must(s.ListVendors(t.Context(), "", names))(t), must(other.ListVendors(t.Context(), "", names))(t))
	wantJSON(t, what+", categories",
		must(s.ListCategories(t.Context(), "", names))(t), must(other.ListCategories(t.Context(), "", names))(t))
	wantJSON(t, what+", summary", must(s.GetCatalogSummary(t.Context()))(t), must(other.GetCatalogSummary(t.Context()))(t))
}

// changeAtRandom creates, changes or deletes a catalog app, or changes a vendor or a category.
func changeAtRandom(t *testing.T, s *store.Store, random *rand.Rand) {
	t.Helper()
	entries := must(s.ListCatalogApps(t.Context(), store.CatalogFilter{}, fullPage(store.ColumnCanonicalName)))(t).Rows
	categories := []uuid.UUID{idOf("Mail"), idOf("Chat")}[random.IntN(3):]
	fields := store.Fields{store.ColumnCanonicalName: randomName(random), store.ColumnVendorID: nil}
	if random.IntN(2) == 0 {
		fields[store.ColumnVendorID] = idOf([]string{"Acme", "Zeta"}[random.IntN(2)])
	}
	switch random.IntN(7) {
	case 0, 1:
		must(s.CreateCatalogApp(t.Context(), fields, categories, alice))(t)
	case 2, 3:
		if random.IntN(2) == 0 {
			delete(fields, store.ColumnCanonicalName)
		}
		must(s.UpdateCatalogApp(t.Context(), entries[random.IntN(len(entries))].ID, fields, &categories, alice, nil))(t)
	case 4:
		if len(entries) > 1 {
			if err := s.DeleteCatalogApp(t.Context(), entries[random.IntN(len(entries))].ID, alice, nil); err != nil {
				t.Fatal(err)
			}
		}
	case 5:
		must(s.CreateVendor(t.Context(), store.Fields{store.ColumnName: randomName(random)}, alice))(t)
		must(s.CreateCategory(t.Context(), store.Fields{store.ColumnName: randomName(random)}, alice))(t)
	default:
		name := store.Fields{store.ColumnName: randomName(random)}
		must(s.UpdateVendor(t.Context(), idOf("Acme"), name, alice, nil))(t)
		must(s.UpdateCategory(t.Context(), idOf("Chat"), name, alice, nil))(t)
	}
}

// TestCatalogChangeIsReadAlone changes the catalog through two servers. Each reads only what has changed, not the whole catalog. The
// database deletes old rows of catalog_revisions.
func TestCatalogChangeIsReadAlone(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		there := openSeeded(t, url, catalogData())
		here, db := openWithoutPolling(t, url), storetest.SQL(t, url)
		var mu sync.Mutex
		var whole int
		for _, s := range []*store.Store{here, there} {
			err := store.AfterStatement(s, func(st *gorm.Statement) {
				mu.Lock()
				defer mu.Unlock()
				if sql := st.SQL.String(); strings.HasPrefix(sql, "SELECT * FROM") && strings.HasSuffix(strings.Trim(sql, "\"`"), "catalog_apps") {
					whole++
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		must(here.GetCatalogApp(t.Context(), storetest.CatalogID))(t)
		must(there.GetCatalogApp(t.Context(), storetest.CatalogID))(t)
		wantWhole := func(what string, want int) {
			t.Helper()
			mu.Lock()
			defer mu.Unlock()
			if whole != want {
				t.Errorf("%s: the whole catalog was loaded %d times, want %d", what, whole, want)
			}
			whole = 0
		}
		wantWhole("at first", 1) // the other store has loaded it when it was seeded
		for n, change := range catalogChanges(t, there) {
			change(n)
			must(here.ListVendors(t.Context(), "", fullPage(store.ColumnName)))(t)
		}
		deletedEntryID(t, there)
		must(here.ListVendors(t.Context(), "", fullPage(store.ColumnName)))(t)
		wantWhole("after changes", 0)
		must(there.ImportCatalog(t.Context(), catalogRows(catalogRow("Imported", nil)), alice, store.ImportOptions{}))(t)
		must(here.ListVendors(t.Context(), "", fullPage(store.ColumnName)))(t)
		wantWhole("after an import", 2)

		must(db.ExecContext(t.Context(), "UPDATE catalog_state SET revision = revision + 4096"))(t)
		deletedEntryID(t, there)
		if kept := queryOne[int](t, db, "SELECT count(*) FROM catalog_revisions"); kept != 2 {
			t.Errorf("catalog_revisions has %d rows, want 2", kept)
		}
		must(here.ListVendors(t.Context(), "", fullPage(store.ColumnName)))(t)
		wantCatalog(t, "after many changes", here, openWithoutPolling(t, url))
	})
}
