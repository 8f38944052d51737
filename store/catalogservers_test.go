package store_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// catalogChanges returns all kinds of writes that change what the app of the reference page shows of the catalog.
func catalogChanges(t *testing.T, s *store.Store) []func(n int) {
	t.Helper()
	name := func(n int) string { return fmt.Sprintf("Name %d", n) }
	return []func(n int){
		func(n int) {
			must(s.UpdateCatalogApp(t.Context(), storetest.CatalogID, store.Fields{store.ColumnCanonicalName: name(n)}, nil, alice, nil))(t)
		},
		func(n int) {
			must(s.UpdateCatalogApp(t.Context(), storetest.CatalogID, store.Fields{}, &[]uuid.UUID{
				storetest.CategoryID, must(s.CreateCategory(t.Context(), store.Fields{store.ColumnName: name(n)}, alice))(t).ID,
			}, alice, nil))(t)
		},
		func(n int) {
			must(s.UpdateVendor(t.Context(), storetest.VendorID, store.Fields{store.ColumnName: name(n)}, alice, nil))(t)
		},
		func(n int) {
			must(s.UpdateCategory(t.Context(), storetest.CategoryID, store.Fields{store.ColumnName: name(-n)}, alice, nil))(t)
		},
	}
}

// TestCatalogChangeShows changes the catalog. The apps show it on this server and on another one.
func TestCatalogChangeShows(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		here := openSeeded(t, url, catalogData())
		there := storetest.Open(t, url, func(cfg *store.Config) { cfg.CatalogPollInterval = 10 * time.Millisecond })
		key := store.AppKey{ClientID: storetest.ClientID, ID: storetest.AppID}
		before := must(here.GetApp(t.Context(), key))(t)
		past := history(t, here, key)
		must(there.GetApp(t.Context(), key))(t) // loads its catalog
		tags := map[string]bool{before.ETag(): true}
		for n, change := range catalogChanges(t, here) {
			change(n + 1)
			got := must(here.GetApp(t.Context(), key))(t)
			if tags[got.ETag()] || asJSON(t, got) == asJSON(t, before) {
				t.Errorf("after change %d the app has the tag %s and is %s", n, got.ETag(), asJSON(t, got))
			}
			tags[got.ETag()] = true
			list := must(here.ListApps(t.Context(), key.ClientID, store.AppFilter{}, fullPage(store.ColumnUpdatedAt)))(t)
			wantJSON(t, "the app in a list", list.Rows, []store.App{got})
			entries := must(here.ListCatalogApps(t.Context(), store.CatalogFilter{}, fullPage(store.ColumnUpdatedAt)))(t)
			wantJSON(t, "its catalog app in a list", entries.Rows, []*store.CatalogApp{got.Catalog})

			// The app's own row does not change, except for the name by which it is sorted.
			own := got
			own.Catalog, own.NameKey = before.Catalog, before.NameKey
			wantJSON(t, "the app but for its catalog app", own, before)

			deadline := time.Now().Add(time.Minute)
			for must(there.GetApp(t.Context(), key))(t).ETag() != got.ETag() {
				if time.Now().After(deadline) {
					t.Fatalf("the other server does not show change %d", n)
				}
			}
			wantJSON(t, "the app on another server", must(there.GetApp(t.Context(), key))(t), got)
			before = got
		}
		wantJSON(t, "the history", history(t, here, key), past)
	})
}

// TestMatchSeesOtherServersCatalog changes the catalog on another server. The old tag is refused at once, also by a server whose snapshot
// is out of date.
func TestMatchSeesOtherServersCatalog(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		there := openSeeded(t, url, catalogData())
		here := openWithoutPolling(t, url)
		key := store.AppKey{ClientID: storetest.ClientID, ID: storetest.AppID}
		seen := must(here.GetApp(t.Context(), key))(t)
		for n, change := range catalogChanges(t, there) {
			old := &store.IfMatch{Tags: []string{seen.ETag()}}
			oldEntry := &store.IfMatch{Tags: []string{seen.Catalog.ETag()}}
			change(n + 1)
			_, err := here.UpdateApp(t.Context(), key, store.Fields{store.ColumnLicenseCount: int32(n)}, alice, old)
			wantError(t, err, &store.PreconditionError{})
			change(n + 11)
			_, err = here.UpdateApp(t.Context(), key, store.Fields{}, alice, old)
			wantError(t, err, &store.PreconditionError{})
			change(n + 21)
			_, err = here.UpdateCatalogApp(t.Context(), storetest.CatalogID, store.Fields{store.ColumnType: nil}, nil, alice, oldEntry)
			wantError(t, err, &store.PreconditionError{})
			change(n + 31)
			wantError(t, here.DeleteCatalogApp(t.Context(), storetest.CatalogID, alice, oldEntry), &store.PreconditionError{})

			// A write reads the current catalog, and so does the tag that it returns.
			current := must(there.GetApp(t.Context(), key))(t)
			if current.Version != seen.Version {
				t.Errorf("a refused write wrote %s", asJSON(t, current))
			}
			match := &store.IfMatch{Tags: []string{current.ETag()}}
			seen = must(here.UpdateApp(t.Context(), key, store.Fields{store.ColumnLicenseCount: int32(n)}, alice, match))(t)
			wantJSON(t, "the app on the other server", must(there.GetApp(t.Context(), key))(t), seen)
		}
	})
}

// TestCatalogWriteReturnsCurrentState writes through a server whose snapshot is out of date. The write returns the current state, also
// if it changes nothing.
func TestCatalogWriteReturnsCurrentState(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		there := openSeeded(t, url, catalogData())
		here := openWithoutPolling(t, url)
		must(here.GetCatalogApp(t.Context(), storetest.CatalogID))(t)
		fields := store.Fields{store.ColumnCanonicalName: "Slack 2", store.ColumnLogo: nil}
		want := must(there.UpdateCatalogApp(t.Context(), storetest.CatalogID, fields, &[]uuid.UUID{idOf("video")}, alice, nil))(t)
		got := must(here.UpdateCatalogApp(t.Context(), storetest.CatalogID, fields, &[]uuid.UUID{idOf("video")}, alice, nil))(t)
		wantJSON(t, "what was there already", got, want)
		if got.ETag() != want.ETag() {
			t.Errorf("its tag is %s, want %s", got.ETag(), want.ETag())
		}
	})
}

// TestNewCatalogAppOfAnotherServer gets a catalog app by its id right after another server has created it, before the next poll.
func TestNewCatalogAppOfAnotherServer(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		there := openSeeded(t, url, catalogData())
		here := openWithoutPolling(t, url)
		must(here.GetCatalogApp(t.Context(), storetest.CatalogID))(t)

		zoom := must(there.CreateCatalogApp(t.Context(), store.Fields{store.ColumnCanonicalName: "Zoom"}, nil, alice))(t)
		wantJSON(t, "the new catalog app", must(here.GetCatalogApp(t.Context(), zoom.ID))(t), zoom)
		miro := must(there.CreateCatalogApp(t.Context(), store.Fields{store.ColumnCanonicalName: "Miro"}, nil, alice))(t)
		if list := must(here.ListURLPatterns(t.Context(), miro.ID, "", fullPage(store.ColumnPattern)))(t); len(list.Rows) != 0 || list.Total != 0 {
			t.Errorf("its patterns are %v", list)
		}
		figma := must(there.CreateCatalogApp(t.Context(), store.Fields{store.ColumnCanonicalName: "Figma"}, nil, alice))(t)
		list := must(here.ListCatalogApps(t.Context(), store.CatalogFilter{}, fullPage(store.ColumnCanonicalName)))(t)
		wantJSON(t, "the catalog", catalogNames(list.Rows), []string{"Figma", "Miro", "Slack", "Zoom"})
		added := must(there.AddApp(t.Context(), storetest.ClientID, figma.ID, nil, alice))(t)
		jira := must(there.CreateCatalogApp(t.Context(), store.Fields{store.ColumnCanonicalName: "Jira"}, nil, alice))(t)
		last := must(there.AddApp(t.Context(), storetest.ClientID, jira.ID, nil, alice))(t)
		for _, want := range []store.App{last, added} {
			wantJSON(t, "the app", must(here.GetApp(t.Context(), store.AppKey{ClientID: want.ClientID, ID: want.ID}))(t), asRead(want))
		}
	})
}

// TestRenamingReordersApps renames catalog apps. Lists of a client's apps are sorted by the new names.
func TestRenamingReordersApps(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		data := store.Dataset{Clients: []store.Client{client("Contoso"), client("Fabrikam")}}
		for _, name := range []string{"a", "b", "c"} {
			data.CatalogApps = append(data.CatalogApps, catalogApp(name))
			data.Apps = append(data.Apps, app("Contoso", name), app("Fabrikam", name))
		}
		s := openSeeded(t, url, data)
		for _, step := range []struct {
			from, to string
			want     []string
		}{
			{"a", "Z", []string{"b", "c", "Z"}},
			{"c", "B2", []string{"b", "B2", "Z"}},
			{"b", "zz", []string{"B2", "Z", "zz"}},
			{"a", "z", []string{"B2", "z", "zz"}},
		} {
			must(s.UpdateCatalogApp(t.Context(), idOf(step.from), store.Fields{store.ColumnCanonicalName: step.to}, nil, alice, nil))(t)
			for _, name := range []string{"Contoso", "Fabrikam"} {
				list := must(s.ListApps(t.Context(), idOf(name), store.AppFilter{}, fullPage(store.ColumnCanonicalName)))(t)
				wantJSON(t, fmt.Sprintf("%s with %s renamed to %s", name, step.from, step.to), appNames(list.Rows), step.want)
				found := must(s.ListApps(t.Context(), idOf(name), store.AppFilter{Query: step.to}, fullPage(store.ColumnCanonicalName)))(t)
				if !slices.Contains(appNames(found.Rows), step.to) {
					t.Errorf("%s does not find %s among its apps", name, step.to)
				}
			}
		}
	})
}

// TestMatchHoldsWhenTheWriteHappens changes the object of a tag after the store has compared the tag and before it writes, which is when
// it reads its clock.
func TestMatchHoldsWhenTheWriteHappens(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		there := openSeeded(t, url, catalogData())
		var meanwhile func()
		clock := &storetest.Clock{}
		here := openWithoutPolling(t, url, func(cfg *store.Config) {
			cfg.Clock = func() time.Time {
				if change := meanwhile; change != nil {
					meanwhile = nil
					change()
				}
				return clock.Now()
			}
		})
		key := store.AppKey{ClientID: storetest.ClientID, ID: storetest.AppID}
		changes := append(catalogChanges(t, there), func(n int) {
			must(there.UpdateApp(t.Context(), key, store.Fields{store.ColumnLicenseCount: int32(n)}, alice, nil))(t)
		})
		fields := store.Fields{store.ColumnIsFavorite: true}
		for n, change := range changes {
			seen := must(here.GetApp(t.Context(), key))(t)
			match := &store.IfMatch{Tags: []string{seen.ETag()}}
			meanwhile = func() { change(n + 1) }
			_, err := here.UpdateApp(t.Context(), key, fields, alice, match)
			wantError(t, err, &store.PreconditionError{})

			match = &store.IfMatch{Tags: []string{must(here.GetApp(t.Context(), key))(t).ETag()}}
			meanwhile = func() { change(n + 11) }
			wantError(t, here.RemoveApp(t.Context(), key, alice, match), &store.PreconditionError{})

			// A write without a condition succeeds.
			meanwhile = func() { change(n + 21) }
			got := must(here.UpdateApp(t.Context(), key, fields, alice, nil))(t)
			if written := must(there.GetApp(t.Context(), key))(t); written.Version != got.Version || written.IsFavorite == seen.IsFavorite {
				t.Errorf("the write returned %s, and the app is %s", asJSON(t, got), asJSON(t, written))
			}
			if meanwhile != nil {
				t.Fatal("the store did not read its clock")
			}
			fields = store.Fields{store.ColumnIsFavorite: !got.IsFavorite}
		}

		match := &store.IfMatch{Tags: []string{must(here.GetClient(t.Context(), key.ClientID))(t).ETag()}}
		meanwhile = func() {
			must(there.UpdateClient(t.Context(), key.ClientID, store.Fields{store.ColumnName: "Meanwhile"}, alice, nil))(t)
		}
		_, err := here.UpdateClient(t.Context(), key.ClientID, store.Fields{store.ColumnName: "New"}, alice, match)
		wantError(t, err, &store.PreconditionError{})
	})
}

// TestCatalogIsReadAsAWhole pauses one server while it loads the catalog, which is possible on PostgreSQL only. It must not see half of
// what another server writes meanwhile: a catalog app without its vendor.
func TestCatalogIsReadAsAWhole(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	openSeeded(t, url, catalogData())
	s, db := openWithoutPolling(t, url), storetest.SQL(t, url)
	var running sync.WaitGroup
	defer running.Wait()
	tx := must(db.BeginTx(t.Context(), nil))(t)
	defer func() { _ = tx.Rollback() }()
	execute := func(statement string, args ...any) {
		t.Helper()
		if _, err := tx.ExecContext(t.Context(), statement, args...); err != nil {
			t.Fatal(err)
		}
	}
	execute("LOCK TABLE catalog_apps IN ACCESS EXCLUSIVE MODE")
	running.Go(func() {
		got, err := s.GetCatalogApp(t.Context(), storetest.CatalogID)
		if err != nil || got.Vendor == nil || got.Vendor.ID != *got.VendorID {
			t.Errorf("the catalog app is %s, %v", asJSON(t, got), err)
		}
	})
	waitForLocks(t, db, 1)
	execute(`INSERT INTO catalog_vendors SELECT $1, 'New', 'new', url, version, created_at, updated_at
		FROM catalog_vendors WHERE id = $2`, idOf("New"), storetest.VendorID)
	execute("UPDATE catalog_apps SET vendor_id = $1, version = version + 1", idOf("New"))
	execute("UPDATE catalog_state SET revision = revision + 1")
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}
