package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// inDoubtFixture has a store behind a faultProxy and another store on the same database. Zoom and Figma are in the catalog, and the
// page's client also has Zoom.
type inDoubtFixture struct {
	proxy       *faultProxy
	here, there *store.Store
	zoom        store.AppKey
}

// newInDoubtFixture makes a fixture. The clock of the other store is ahead.
func newInDoubtFixture(t *testing.T, ahead time.Duration) *inDoubtFixture {
	t.Helper()
	url := storetest.Postgres(t)
	data := storetest.Page()
	data.CatalogApps = append(data.CatalogApps, catalogApp("Zoom"), catalogApp("Figma"))
	zoom := app("Contoso", "Zoom")
	zoom.ClientID = storetest.ClientID
	data.Apps = append(data.Apps, zoom)
	f := &inDoubtFixture{
		there: openSeeded(t, url, data, withClock(clockAhead(ahead))), proxy: newFaultProxy(t, url),
		zoom: store.AppKey{ClientID: zoom.ClientID, ID: zoom.ID},
	}
	f.here = openWithoutPolling(t, f.proxy.url, withClock(&storetest.Clock{}))
	must(f.here.GetApp(t.Context(), pageApp))(t)
	return f
}

// meanwhile runs do after a write has been committed and before the connection breaks.
func (f *inDoubtFixture) meanwhile(t *testing.T, do func(ctx context.Context) error) {
	t.Helper()
	f.proxy.beforeDropping(func() {
		if err := do(context.Background()); err != nil {
			t.Errorf("meanwhile: %v", err)
		}
	})
}

func (f *inDoubtFixture) remove(ctx context.Context, key store.AppKey) error {
	return f.there.RemoveApp(ctx, key, store.Actor{RequestID: "meanwhile"}, nil)
}

// TestPatchInDoubtOfRemovedApp changes and removes the app before a patch in doubt is resolved.
func TestPatchInDoubtOfRemovedApp(t *testing.T) {
	t.Parallel()
	f := newInDoubtFixture(t, 0)
	must(f.there.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnLicenseCount: int32(3)}, alice, nil))(t)
	before := must(f.here.GetApp(t.Context(), pageApp))(t)
	f.meanwhile(t, func(ctx context.Context) error {
		fields := store.Fields{store.ColumnIsFavorite: true, store.ColumnIsApproved: false}
		if _, err := f.there.UpdateApp(ctx, pageApp, fields, store.Actor{RequestID: "meanwhile"}, nil); err != nil {
			return err
		}
		return f.remove(ctx, pageApp)
	})
	f.proxy.arm(inDoubtActor.RequestID, dropResponse)
	got := must(f.here.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnIsApproved: true}, inDoubtActor, nil))(t)
	want := before
	want.IsApproved, want.Version, want.UpdatedAt = true, before.Version+1, storetest.Now
	wantJSON(t, "the answer", got, want)
	if n := f.proxy.count(); n != 1 {
		t.Errorf("%d faults were triggered, want 1", n)
	}
}

// TestWritesInDoubtOfRemovedApps does the same for the other writes.
func TestWritesInDoubtOfRemovedApps(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		trigger   string
		write     func(ctx context.Context, s *store.Store) error
		meanwhile func(ctx context.Context, f *inDoubtFixture) error
	}{
		"bulk": {
			inDoubtActor.RequestID,
			func(ctx context.Context, s *store.Store) error {
				missing, err := bulkSet(ctx, s, pageApp.ClientID, []uuid.UUID{pageApp.ID}, store.ColumnIsApproved, true, inDoubtActor)
				if len(missing) > 0 {
					return &store.NotFoundError{Kind: store.KindApp, ID: missing[0]}
				}
				return err
			},
			func(ctx context.Context, f *inDoubtFixture) error { return f.remove(ctx, pageApp) },
		},
		"add": {
			"commit",
			func(ctx context.Context, s *store.Store) error {
				_, err := s.AddApp(ctx, storetest.ClientID, idOf("Figma"), nil, inDoubtActor)
				return err
			},
			func(ctx context.Context, f *inDoubtFixture) error {
				list, err := f.there.ListApps(ctx, storetest.ClientID, store.AppFilter{Query: "figma"}, fullPage(store.ColumnCanonicalName))
				if err != nil {
					return err
				}
				return f.remove(ctx, store.AppKey{ClientID: storetest.ClientID, ID: list.Rows[0].ID})
			},
		},
		"remove": {
			"commit",
			func(ctx context.Context, s *store.Store) error { return s.RemoveApp(ctx, pageApp, inDoubtActor, nil) },
			func(ctx context.Context, f *inDoubtFixture) error {
				_, err := f.there.AddApp(ctx, pageApp.ClientID, storetest.CatalogID, nil, store.Actor{RequestID: "meanwhile"})
				return err
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newInDoubtFixture(t, 0)
			f.meanwhile(t, func(ctx context.Context) error { return c.meanwhile(ctx, f) })
			f.proxy.arm(c.trigger, dropResponse)
			if err := c.write(t.Context(), f.here); err != nil {
				t.Error(err)
			}
			if n := f.proxy.count(); n != 1 {
				t.Errorf("%d faults were triggered, want 1", n)
			}
		})
	}
}

// TestWriteInDoubtUnderAUsedRequestID has another write with the same author, request id and time in the database. It is not mistaken
// for the write in doubt, which never reached the database.
func TestWriteInDoubtUnderAUsedRequestID(t *testing.T) {
	t.Parallel()
	five := store.Fields{store.ColumnLicenseCount: int32(5)}
	for name, other := range map[string]store.Fields{
		"another field": {store.ColumnIsFavorite: true},
		"another value": {store.ColumnLicenseCount: int32(6)},
		"more fields":   {store.ColumnLicenseCount: int32(5), store.ColumnIsFavorite: true},
		"none":          nil,
	} {
		t.Run("patch/"+name, func(t *testing.T) {
			t.Parallel()
			f := newInDoubtFixture(t, 0)
			if other != nil {
				must(f.there.UpdateApp(t.Context(), pageApp, other, inDoubtActor, nil))(t)
			}
			if name == "more fields" {
				must(f.there.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnLicenseCount: int32(7)}, alice, nil))(t)
			}
			before := must(f.there.GetApp(t.Context(), pageApp))(t)
			f.proxy.arm(inDoubtActor.RequestID, dropRequest)
			got := must(f.here.UpdateApp(t.Context(), pageApp, five, inDoubtActor, nil))(t)
			last := must(f.there.GetApp(t.Context(), pageApp))(t)
			if wantJSON(t, "the answer", got, last); last.Version != before.Version+1 || last.LicenseCount == nil || *last.LicenseCount != 5 {
				t.Errorf("%v at version %d after %d", stateOf(last), last.Version, before.Version)
			}
		})
	}
	t.Run("bulk", func(t *testing.T) {
		t.Parallel()
		f := newInDoubtFixture(t, 0)
		set := func(s *store.Store, ids ...uuid.UUID) {
			t.Helper()
			must(bulkSet(t.Context(), s, pageApp.ClientID, ids, store.ColumnIsApproved, true, inDoubtActor))(t)
		}
		set(f.there, pageApp.ID)
		f.proxy.arm(inDoubtActor.RequestID, dropRequest)
		set(f.here, pageApp.ID, f.zoom.ID)
		if !get(t, f.there, f.zoom).IsApproved || get(t, f.there, pageApp).Version != 2 {
			t.Errorf("another write was mistaken for the bulk write")
		}
	})
}

// TestWriteInDoubtOfAppWithLaterTime writes the app through a server whose clock is ahead. The write in doubt takes over its time.
func TestWriteInDoubtOfAppWithLaterTime(t *testing.T) {
	t.Parallel()
	f := newInDoubtFixture(t, 10*time.Second)
	before := must(f.there.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnIsFavorite: true}, alice, nil))(t)
	f.proxy.arm(inDoubtActor.RequestID, dropResponse)
	got := must(f.here.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnLicenseCount: int32(5)}, inDoubtActor, nil))(t)
	if last := must(f.there.GetApp(t.Context(), pageApp))(t); last.Version != before.Version+1 {
		t.Errorf("version %d after %d", last.Version, before.Version)
	} else {
		wantJSON(t, "the answer", got, last)
	}
	if n := f.proxy.count(); n != 1 {
		t.Errorf("%d faults were triggered, want 1", n)
	}
}
