package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

func TestAppShowsItsCatalogEntry(t *testing.T) {
	eachDatabase(t, func(t *testing.T, _ string, s *store.Store) {
		entry := get(t, s, pageApp).Catalog
		if entry.CanonicalName != "Slack" || entry.Vendor == nil || entry.Vendor.Name != "Salesforce, Inc." ||
			len(entry.Categories) != 1 || entry.Categories[0].Name != "Communication" {
			t.Errorf("%+v", entry)
		}
	})
}

// TestCatalogOfAnotherServer changes the catalog as another server does. This server shows the change after it has polled.
func TestCatalogOfAnotherServer(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"the app":      "UPDATE catalog_apps SET description = 'new', version = version + 1",
		"its vendor":   "UPDATE catalog_vendors SET name = 'new', version = version + 1",
		"its category": "UPDATE catalog_categories SET name = 'new', version = version + 1",
		"the link":     "DELETE FROM catalog_app_categories",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, url string) {
				s := storetest.Open(t, url, func(cfg *store.Config) { cfg.CatalogPollInterval = 20 * time.Millisecond })
				if err := s.Seed(t.Context(), storetest.Page()); err != nil {
					t.Fatal(err)
				}
				before := get(t, s, pageApp).ETag()
				db := storetest.SQL(t, url)
				for _, statement := range []string{change, "UPDATE catalog_state SET revision = revision + 1"} {
					if _, err := db.ExecContext(t.Context(), statement); err != nil {
						t.Fatal(err)
					}
				}
				eventually(t, "a new tag", func() bool { return get(t, s, pageApp).ETag() != before })
			})
		})
	}
}

// TestEntryThatTheSnapshotDoesNotHave reads an app that another server has added, of a catalog app that the snapshot of this server does
// not have.
func TestEntryThatTheSnapshotDoesNotHave(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string, s *store.Store) {
		get(t, s, pageApp) // loads the snapshot
		other := storetest.Open(t, url)
		key := store.AppKey{ClientID: storetest.ClientID, ID: uuid.New()}
		entry := store.CatalogApp{ID: uuid.New(), CanonicalName: "New", CreatedAt: storetest.Now, UpdatedAt: storetest.Now}
		err := other.Seed(t.Context(), store.Dataset{CatalogApps: []store.CatalogApp{entry}, Apps: []store.App{{
			ClientID: key.ClientID, ID: key.ID, CatalogAppID: entry.ID, ActorName: "x", RequestID: "x",
			CreatedAt: storetest.Now, UpdatedAt: storetest.Now,
		}}})
		if err != nil {
			t.Fatal(err)
		}
		if app := get(t, s, key); app.Catalog.CanonicalName != "New" || app.Catalog.Vendor != nil || len(app.Catalog.Categories) != 0 {
			t.Errorf("%+v", app.Catalog)
		}
	})
}

func TestCatalogUnderConcurrentUse(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := storetest.Open(t, url, func(cfg *store.Config) { cfg.CatalogPollInterval = time.Millisecond })
		if err := s.Seed(t.Context(), storetest.Page()); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for n := range 30 {
					if i == 0 {
						entry := store.CatalogApp{ID: uuid.New(), CanonicalName: fmt.Sprint("App ", n), CreatedAt: storetest.Now, UpdatedAt: storetest.Now}
						if err := s.Seed(t.Context(), store.Dataset{CatalogApps: []store.CatalogApp{entry}}); err != nil {
							t.Error(err)
						}
					}
					if app, err := s.GetApp(t.Context(), pageApp); err != nil || app.Catalog.CanonicalName != "Slack" {
						t.Errorf("%+v, %v", app, err)
					}
				}
			})
		}
		wg.Wait()
	})
}
