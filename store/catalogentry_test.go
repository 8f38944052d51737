package store_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// TestSnapshotAfterWrites changes the catalog at random through two stores. What the writer shows at once, in every order
// and with every tag, must be what a store shows that has just read all of it.
func TestSnapshotAfterWrites(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		t.Parallel()
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		data := store.Dataset{
			Vendors:    []store.Vendor{{ID: named("Acme"), Name: "Acme"}, {ID: named("Zeta"), Name: "Zeta"}},
			Categories: []store.Category{{ID: named("Chat"), Name: "Chat"}, {ID: named("Mail"), Name: "Mail"}},
		}
		for range 10 {
			data.CatalogApps = append(data.CatalogApps, catalogApp(randomName(random)))
		}
		stores := []*store.Store{seeded(t, url, data), alone(t, url)}
		for n := range 40 {
			writer := stores[random.IntN(2)]
			changeAtRandom(t, writer, random)
			fresh := alone(t, url)
			for _, by := range []store.Column{store.ColumnCanonicalName, store.ColumnCreatedAt, store.ColumnUpdatedAt} {
				got := must(writer.ListCatalogApps(t.Context(), store.CatalogFilter{}, all(by)))(t)
				want := must(fresh.ListCatalogApps(t.Context(), store.CatalogFilter{}, all(by)))(t)
				wantShown(t, fmt.Sprintf("write %d, by %s", n, by), got, want)
				for i := range got.Rows {
					if got.Rows[i].Tag() != want.Rows[i].Tag() {
						t.Errorf("write %d: the tag of %s is %s, want %s", n, got.Rows[i].CanonicalName, got.Rows[i].Tag(), want.Rows[i].Tag())
					}
				}
			}
			wantShown(t, "summary", must(writer.GetCatalogSummary(t.Context()))(t), must(fresh.GetCatalogSummary(t.Context()))(t))
			if t.Failed() {
				return
			}
		}
	})
}

// changeAtRandom makes, changes or deletes an entry, or changes what entries show.
func changeAtRandom(t *testing.T, s *store.Store, random *rand.Rand) {
	t.Helper()
	entries := must(s.ListCatalogApps(t.Context(), store.CatalogFilter{}, all(store.ColumnCanonicalName)))(t).Rows
	categories := []uuid.UUID{named("Mail"), named("Chat")}[random.IntN(3):]
	fields := store.Fields{store.ColumnCanonicalName: randomName(random), store.ColumnVendorID: nil}
	if random.IntN(2) == 0 {
		fields[store.ColumnVendorID] = named([]string{"Acme", "Zeta"}[random.IntN(2)])
	}
	switch random.IntN(6) {
	case 0, 1:
		must(s.CreateCatalogApp(t.Context(), fields, categories))(t)
	case 2, 3:
		if random.IntN(2) == 0 {
			delete(fields, store.ColumnCanonicalName)
		}
		must(s.UpdateCatalogApp(t.Context(), entries[random.IntN(len(entries))].ID, fields, &categories, nil))(t)
	case 4:
		if len(entries) > 1 {
			if err := s.DeleteCatalogApp(t.Context(), entries[random.IntN(len(entries))].ID, nil); err != nil {
				t.Fatal(err)
			}
		}
	default:
		name := store.Fields{store.ColumnName: randomName(random)}
		must(s.UpdateVendor(t.Context(), named("Acme"), name, nil))(t)
		must(s.UpdateCategory(t.Context(), named("Chat"), name, nil))(t)
	}
}
