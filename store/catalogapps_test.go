package store_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// catalogData returns the page's catalog with another vendor and more categories.
func catalogData() store.Dataset {
	data := storetest.Page()
	data.Vendors = append(data.Vendors, store.Vendor{ID: idOf("Zoom Inc."), Name: "Zoom Inc."})
	for _, name := range []string{"video", "Audio", "ärger"} {
		data.Categories = append(data.Categories, store.Category{ID: idOf(name), Name: name})
	}
	return data
}

func TestCreateCatalogApp(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		s := openSeeded(t, url, catalogData(), withClock(clock))
		clock.Advance(time.Minute)
		bare := must(s.CreateCatalogApp(t.Context(), store.Fields{store.ColumnCanonicalName: "Straße"}, nil, alice))(t)
		wantJSON(t, "a catalog app that is but a name", bare, store.CatalogApp{
			ID: bare.ID, CanonicalName: "Straße", NameKey: "strasse", Version: 1, CreatedAt: clock.Now(), UpdatedAt: clock.Now(),
		})
		zoom := idOf("Zoom Inc.")
		full := must(s.CreateCatalogApp(t.Context(), store.Fields{
			store.ColumnCanonicalName: "Zoom", store.ColumnDescription: "Meetings", store.ColumnDisplayColour: "#0B5CFF",
			store.ColumnLogo: "https://cdn.example.com/zoom.png", store.ColumnType: "desktop", store.ColumnVendorID: zoom,
		}, []uuid.UUID{idOf("video"), idOf("Audio"), idOf("video")}, alice))(t)
		wantJSON(t, "a catalog app with all it can have", full, store.CatalogApp{
			ID: full.ID, CanonicalName: "Zoom", NameKey: "zoom", Description: new("Meetings"), DisplayColour: new("#0B5CFF"),
			Logo: new("https://cdn.example.com/zoom.png"), Type: new("desktop"), VendorID: &zoom,
			Version: 1, CreatedAt: clock.Now(), UpdatedAt: clock.Now(), Vendor: full.Vendor, Categories: full.Categories,
		})
		if full.Vendor == nil || full.Vendor.Name != "Zoom Inc." {
			t.Errorf("its vendor is %s", asJSON(t, full.Vendor))
		}
		if got := categoryNames(full); !slices.Equal(got, []string{"Audio", "video"}) {
			t.Errorf("its categories are %q", got)
		}
		for _, made := range []*store.CatalogApp{bare, full} {
			got := must(openWithoutPolling(t, url).GetCatalogApp(t.Context(), made.ID))(t)
			wantJSON(t, "the catalog app when it is read", got, made)
			if got.ETag() != made.ETag() {
				t.Errorf("the tag is %s, and %s when the catalog app is read", made.ETag(), got.ETag())
			}
		}
		wantJSON(t, "the summary", must(s.GetCatalogSummary(t.Context()))(t), store.CatalogSummary{Apps: 3, Vendors: 2, Categories: 4})
	})
}

func categoryNames(a *store.CatalogApp) []string {
	names := []string{}
	for _, c := range a.Categories {
		names = append(names, c.Name)
	}
	return names
}

// TestUpdateCatalogAppFields sets, changes and clears each nullable field.
func TestUpdateCatalogAppFields(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		s := openSeeded(t, url, catalogData(), withClock(clock))
		db := storetest.SQL(t, url)
		zoom := must(s.GetCatalogApp(t.Context(), must(s.CreateCatalogApp(t.Context(),
			store.Fields{store.ColumnCanonicalName: "Zoom", store.ColumnVendorID: idOf("Zoom Inc.")}, nil, alice))(t).ID))(t).Vendor
		want := *must(s.GetCatalogApp(t.Context(), storetest.CatalogID))(t)
		salesforce := want.Vendor
		setVendor := func(v *store.Vendor) {
			want.Vendor, want.VendorID = v, nil
			if v != nil {
				want.VendorID = &v.ID
			}
		}
		steps := []struct {
			column store.Column
			value  any
			expect func()
		}{
			{store.ColumnCanonicalName, "SLACK ß", func() { want.CanonicalName, want.NameKey = "SLACK ß", "slack ss" }},
			{store.ColumnDescription, nil, func() { want.Description = nil }},
			{store.ColumnDescription, "", func() { want.Description = new("") }},
			{store.ColumnDescription, "Talk 😀", func() { want.Description = new("Talk 😀") }},
			{store.ColumnDisplayColour, nil, func() { want.DisplayColour = nil }},
			{store.ColumnDisplayColour, "#000000", func() { want.DisplayColour = new("#000000") }},
			{store.ColumnLogo, nil, func() { want.Logo = nil }},
			{store.ColumnLogo, "https://a.example/b", func() { want.Logo = new("https://a.example/b") }},
			{store.ColumnType, nil, func() { want.Type = nil }},
			{store.ColumnType, "web", func() { want.Type = new("web") }},
			{store.ColumnVendorID, nil, func() { setVendor(nil) }},
			{store.ColumnVendorID, zoom.ID, func() { setVendor(zoom) }},
			{store.ColumnVendorID, storetest.VendorID, func() { setVendor(salesforce) }},
		}
		tags := map[string]bool{must(s.GetCatalogApp(t.Context(), storetest.CatalogID))(t).ETag(): true}
		for _, step := range steps {
			what := fmt.Sprintf("with %s set to %v", step.column, step.value)
			fields := store.Fields{step.column: step.value}
			clock.Advance(time.Minute)
			step.expect()
			want.Version, want.UpdatedAt = want.Version+1, clock.Now()
			got := must(s.UpdateCatalogApp(t.Context(), storetest.CatalogID, fields, nil, alice, nil))(t)
			wantJSON(t, what, got, want)
			wantJSON(t, what+", as another server reads it", must(openWithoutPolling(t, url).GetCatalogApp(t.Context(), want.ID))(t), want)
			if tags[got.ETag()] {
				t.Errorf("%s: the tag did not change", what)
			}
			tags[got.ETag()] = true

			// The same call again writes nothing.
			clock.Advance(time.Minute)
			before := revision(t, db)
			again := must(s.UpdateCatalogApp(t.Context(), storetest.CatalogID, fields, nil, alice, nil))(t)
			wantJSON(t, what+" again", again, want)
			if again.ETag() != got.ETag() || revision(t, db) != before {
				t.Errorf("%s again: the second call wrote something", what)
			}
		}
		// Several fields at once, one of them unchanged.
		want.Type, want.Logo, want.Version, want.UpdatedAt = nil, nil, want.Version+1, clock.Now()
		wantJSON(t, "with several set", must(s.UpdateCatalogApp(t.Context(), storetest.CatalogID, store.Fields{
			store.ColumnType: nil, store.ColumnLogo: nil, store.ColumnDisplayColour: "#000000",
		}, nil, alice, nil))(t), want)
	})
}

func TestUpdateCatalogAppCategories(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		s := openSeeded(t, url, catalogData(), withClock(clock))
		db := storetest.SQL(t, url)
		last := must(s.GetCatalogApp(t.Context(), storetest.CatalogID))(t)
		ids := func(names ...string) *[]uuid.UUID {
			set := []uuid.UUID{}
			for _, name := range names {
				id := idOf(name)
				if name == "Communication" {
					id = storetest.CategoryID
				}
				set = append(set, id)
			}
			return &set
		}
		for _, c := range []struct {
			set     *[]uuid.UUID
			want    []string
			changes bool
		}{
			{nil, []string{"Communication"}, false},
			{ids("Communication"), []string{"Communication"}, false},
			{ids("video", "Communication"), []string{"Communication", "video"}, true},
			{ids("Communication", "video", "Communication"), []string{"Communication", "video"}, false},
			{ids("ärger", "video", "Audio"), []string{"Audio", "video", "ärger"}, true},
			{nil, []string{"Audio", "video", "ärger"}, false},
			{ids("Audio", "Audio"), []string{"Audio"}, true},
			{ids(), []string{}, true},
			{ids(), []string{}, false},
		} {
			clock.Advance(time.Minute)
			before := revision(t, db)
			got := must(s.UpdateCatalogApp(t.Context(), storetest.CatalogID, store.Fields{}, c.set, alice, nil))(t)
			if names := categoryNames(got); !slices.Equal(names, c.want) {
				t.Errorf("the categories are %q, want %q", names, c.want)
			}
			want := *last
			want.Categories = got.Categories
			if c.changes {
				want.Version, want.UpdatedAt = last.Version+1, clock.Now()
			}
			wantJSON(t, "the rest", got, want)
			if (got.ETag() != last.ETag()) != c.changes || (revision(t, db) != before) != c.changes {
				t.Errorf("%q: the tag %s became %s, the revision %d became %d", c.want, last.ETag(), got.ETag(), before, revision(t, db))
			}
			wantJSON(t, "what another server reads", must(openWithoutPolling(t, url).GetCatalogApp(t.Context(), want.ID))(t), got)
			last = got
		}
	})
}

// TestCatalogWriteRefusals checks that refused writes change nothing.
func TestCatalogWriteRefusals(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		data := catalogData()
		data.CatalogApps = append(data.CatalogApps, catalogApp("Straße"), catalogApp("İzmir"), catalogApp("ΣΊΣΥΦΟΣ"), catalogApp("Zoom"))
		s := openSeeded(t, url, data)
		before := allRows(t, storetest.SQL(t, url))
		unknown := idOf("unknown")
		create := func(fields store.Fields, categories ...uuid.UUID) error {
			_, err := s.CreateCatalogApp(t.Context(), fields, categories, alice)
			return err
		}
		update := func(id uuid.UUID, fields store.Fields, categories *[]uuid.UUID, match *store.IfMatch) error {
			_, err := s.UpdateCatalogApp(t.Context(), id, fields, categories, alice, match)
			return err
		}
		name := func(name string) store.Fields {
			return store.Fields{store.ColumnCanonicalName: name, store.ColumnDescription: "new"}
		}
		taken := &store.ConflictError{Field: store.ColumnCanonicalName}
		for _, same := range []string{"Slack", "sLACK", "STRASSE", "straße", "STRAẞE", "i\u0307zmir", "σίσυφος", "σίσυφοσ", "σι\u0301συφος"} {
			wantError(t, create(name(same), storetest.CategoryID), taken)
			wantError(t, update(idOf("Zoom"), name(same), &[]uuid.UUID{idOf("video")}, nil), taken)
		}
		vendor := store.Fields{store.ColumnCanonicalName: "New", store.ColumnVendorID: unknown}
		wantError(t, create(vendor), &store.ReferenceError{Field: "vendor_id"})
		wantError(t, update(idOf("Zoom"), vendor, nil, nil), &store.ReferenceError{Field: "vendor_id"})
		wantError(t, create(name("New"), idOf("video"), unknown), &store.ReferenceError{Field: "category_ids"})
		wantError(t, update(idOf("Zoom"), name("New"), &[]uuid.UUID{unknown}, nil), &store.ReferenceError{Field: "category_ids"})
		wantError(t, update(idOf("Zoom"), name("New"), &[]uuid.UUID{idOf("video"), unknown, idOf("video")}, nil),
			&store.ReferenceError{Field: "category_ids"})

		missing := &store.NotFoundError{Kind: store.KindCatalogApp, ID: unknown}
		wantError(t, update(unknown, name("New"), nil, nil), missing)
		wantError(t, update(unknown, store.Fields{}, nil, &store.IfMatch{}), missing)
		wantError(t, s.DeleteCatalogApp(t.Context(), unknown, alice, &store.IfMatch{}), missing)
		_, err := s.GetCatalogApp(t.Context(), unknown)
		wantError(t, err, missing)

		stale := &store.IfMatch{Tags: []string{"", "1", must(s.GetCatalogApp(t.Context(), storetest.CatalogID))(t).ETag()}}
		wantError(t, update(idOf("Zoom"), name("New"), nil, stale), &store.PreconditionError{})
		wantError(t, update(idOf("Zoom"), store.Fields{}, nil, stale), &store.PreconditionError{})
		wantError(t, s.DeleteCatalogApp(t.Context(), idOf("Zoom"), alice, stale), &store.PreconditionError{})
		wantError(t, s.DeleteCatalogApp(t.Context(), storetest.CatalogID, alice, nil), &store.InUseError{Kind: store.KindCatalogApp})
		wantJSON(t, "the database", allRows(t, storetest.SQL(t, url)), before)

		// A name may change its case, and the name of a deleted catalog app can be used again.
		if got := must(s.UpdateCatalogApp(t.Context(), idOf("Straße"), name("STRASSE"), nil, alice, nil))(t); got.CanonicalName != "STRASSE" {
			t.Errorf("renamed to STRASSE it is %s", asJSON(t, got))
		}
		must(s.UpdateCatalogApp(t.Context(), idOf("Straße"), name("Weg"), nil, alice, nil))(t)
		must(s.CreateCatalogApp(t.Context(), name("straße"), nil, alice))(t)
		// The dotless and the dotted i are different letters.
		must(s.CreateCatalogApp(t.Context(), name("ızmir"), nil, alice))(t)
		must(s.CreateCatalogApp(t.Context(), name("izmir"), nil, alice))(t)
	})
}

// TestUpdateCatalogAppOnce has sixteen writers use the same tag. One succeeds, and the others change nothing.
func TestUpdateCatalogAppOnce(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		servers := []*store.Store{openSeeded(t, url, catalogData()), openWithoutPolling(t, url)}
		before := must(servers[0].GetCatalogApp(t.Context(), storetest.CatalogID))(t)
		match := &store.IfMatch{Tags: []string{before.ETag()}}
		sets := []*[]uuid.UUID{nil, {idOf("video")}}
		winner := race(t, func(n int) error {
			fields := store.Fields{store.ColumnDescription: fmt.Sprintf("writer %d", n)}
			_, err := servers[n/2%2].UpdateCatalogApp(t.Context(), storetest.CatalogID, fields, sets[n%2], alice, match)
			return err
		})
		got := must(openWithoutPolling(t, url).GetCatalogApp(t.Context(), storetest.CatalogID))(t)
		if got.Version != before.Version+1 || *got.Description != fmt.Sprintf("writer %d", winner) {
			t.Errorf("writer %d succeeded, and the catalog app is %s", winner, asJSON(t, got))
		}
		if video := slices.Equal(categoryNames(got), []string{"video"}); video != (winner%2 == 1) {
			t.Errorf("writer %d succeeded, and the categories are %q", winner, categoryNames(got))
		}
	})
}

// race runs sixteen writers at once and returns the one that succeeds. The others must fail with PreconditionError.
func race(t *testing.T, write func(n int) error) (winner int) {
	t.Helper()
	var running sync.WaitGroup
	var errs [16]error
	start := make(chan struct{})
	for n := range errs {
		running.Go(func() { <-start; errs[n] = write(n) })
	}
	close(start)
	running.Wait()
	winner = -1
	for n, err := range errs {
		if err != nil {
			wantError(t, err, &store.PreconditionError{})
			continue
		}
		if winner >= 0 {
			t.Errorf("writers %d and %d both succeeded", winner, n)
		}
		winner = n
	}
	if winner < 0 {
		t.Fatal("no writer succeeded")
	}
	return winner
}

func TestDeleteCatalogApp(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		s := openSeeded(t, url, catalogData())
		before := allRows(t, storetest.SQL(t, url))
		zoom := must(s.CreateCatalogApp(t.Context(), store.Fields{store.ColumnCanonicalName: "Zoom"},
			[]uuid.UUID{idOf("video"), idOf("Audio")}, alice))(t)
		err := errors.Join(
			s.ReplaceURLPatterns(t.Context(), zoom.ID, []string{"zoom.us", "*.zoom.us"}, alice, nil),
			s.ReplaceDesktopAliases(t.Context(), zoom.ID, []string{"zoom.exe"}, alice, nil),
			s.DeleteCatalogApp(t.Context(), zoom.ID, alice, &store.IfMatch{Tags: []string{zoom.ETag()}}),
		)
		if err != nil {
			t.Fatal(err)
		}
		missing := &store.NotFoundError{Kind: store.KindCatalogApp, ID: zoom.ID}
		_, err = s.GetCatalogApp(t.Context(), zoom.ID)
		wantError(t, err, missing)
		_, err = s.ListURLPatterns(t.Context(), zoom.ID, "", fullPage(store.ColumnPattern))
		wantError(t, err, missing)
		wantError(t, s.DeleteCatalogApp(t.Context(), zoom.ID, alice, nil), missing)
		_, err = s.AddApp(t.Context(), storetest.ClientID, zoom.ID, nil, alice)
		wantError(t, err, &store.ReferenceError{Field: "catalog_app_id"})

		after := allRows(t, storetest.SQL(t, url))
		for _, count := range []string{"catalog_state", "catalog_revisions", "catalog_changes"} {
			before[count], after[count] = nil, nil
		}
		wantJSON(t, "all that is left", after, before)

		// A catalog app that the clients have removed can be deleted.
		for _, key := range []store.AppKey{
			{ClientID: storetest.ClientID, ID: storetest.AppID}, {ClientID: storetest.OtherClientID, ID: storetest.OtherAppID},
		} {
			wantError(t, s.DeleteCatalogApp(t.Context(), storetest.CatalogID, alice, nil), &store.InUseError{Kind: store.KindCatalogApp})
			if err := s.RemoveApp(t.Context(), key, alice, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.DeleteCatalogApp(t.Context(), storetest.CatalogID, alice, nil); err != nil {
			t.Fatal(err)
		}
		key := store.AppKey{ClientID: storetest.ClientID, ID: storetest.AppID}
		if got := history(t, s, key); len(got) != 2 {
			t.Errorf("the history of its app is %s", asJSON(t, got))
		}
	})
}
