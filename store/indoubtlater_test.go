package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// lostWorld is a store behind a cutter and another store on the same database, whose clocks stand still. The page's client has
// two apps more: Zoom and Figma.
type lostWorld struct {
	cutter      *cutter
	here, there *store.Store
	zoom        store.AppKey
}

// newLostWorld has the clock of the other store so much ahead.
func newLostWorld(t *testing.T, ahead time.Duration) *lostWorld {
	t.Helper()
	url := storetest.Postgres(t)
	data := storetest.Page()
	data.CatalogApps = append(data.CatalogApps, catalogApp("Zoom"), catalogApp("Figma"))
	zoom := app("Contoso", "Zoom")
	zoom.ClientID = storetest.ClientID
	data.Apps = append(data.Apps, zoom)
	w := &lostWorld{
		there: seeded(t, url, data, withClock(clockAhead(ahead))), cutter: newCutter(t, url),
		zoom: store.AppKey{ClientID: zoom.ClientID, ID: zoom.ID},
	}
	w.here = alone(t, w.cutter.url, withClock(&storetest.Clock{}))
	must(w.here.GetApp(t.Context(), pageApp))(t)
	return w
}

// meanwhile is done when a write has been made, before its answer is lost.
func (w *lostWorld) meanwhile(t *testing.T, do func(ctx context.Context) error) {
	t.Helper()
	w.cutter.mu.Lock()
	defer w.cutter.mu.Unlock()
	w.cutter.meanwhile = func() {
		if err := do(context.Background()); err != nil {
			t.Errorf("meanwhile: %v", err)
		}
	}
}

func (w *lostWorld) remove(ctx context.Context, key store.AppKey) error {
	return w.there.RemoveApp(ctx, key, store.Actor{RequestID: "meanwhile"}, nil)
}

// TestLostPatchOfAnAppThatIsGone has others change and remove the app before the answer to a patch is found out.
func TestLostPatchOfAnAppThatIsGone(t *testing.T) {
	t.Parallel()
	w := newLostWorld(t, 0)
	must(w.there.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnLicenseCount: int32(3)}, alice, nil))(t)
	before := must(w.here.GetApp(t.Context(), pageApp))(t)
	w.meanwhile(t, func(ctx context.Context) error {
		fields := store.Fields{store.ColumnIsFavorite: true, store.ColumnIsApproved: false}
		if _, err := w.there.UpdateApp(ctx, pageApp, fields, store.Actor{RequestID: "meanwhile"}, nil); err != nil {
			return err
		}
		return w.remove(ctx, pageApp)
	})
	w.cutter.arm(cutAuthor.RequestID, cutAnswer)
	got := must(w.here.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnIsApproved: true}, cutAuthor, nil))(t)
	want := before
	want.IsApproved, want.Version, want.UpdatedAt = true, before.Version+1, storetest.Now
	want.ActorID, want.ActorName, want.RequestID = cutAuthor.ID, cutAuthor.Name, cutAuthor.RequestID
	wantShown(t, "the answer", got, want)
	if n := w.cutter.count(); n != 1 {
		t.Errorf("cut %d times", n)
	}
}

// TestLostWritesOfAppsThatAreGone is the same for the other writes.
func TestLostWritesOfAppsThatAreGone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		write     func(ctx context.Context, s *store.Store) error
		meanwhile func(ctx context.Context, w *lostWorld) error
	}{
		"bulk": {
			func(ctx context.Context, s *store.Store) error {
				missing, err := s.BulkSet(ctx, pageApp.ClientID, []uuid.UUID{pageApp.ID}, store.ColumnIsApproved, true, cutAuthor)
				if len(missing) > 0 {
					return &store.NotFoundError{Kind: store.KindApp, ID: missing[0]}
				}
				return err
			},
			func(ctx context.Context, w *lostWorld) error { return w.remove(ctx, pageApp) },
		},
		"add": {
			func(ctx context.Context, s *store.Store) error {
				_, err := s.AddApp(ctx, storetest.ClientID, named("Figma"), nil, cutAuthor)
				return err
			},
			func(ctx context.Context, w *lostWorld) error {
				list, err := w.there.ListApps(ctx, storetest.ClientID, store.AppFilter{Query: "figma"}, all(store.ColumnCanonicalName))
				if err != nil {
					return err
				}
				return w.remove(ctx, store.AppKey{ClientID: storetest.ClientID, ID: list.Rows[0].ID})
			},
		},
		"remove": {
			func(ctx context.Context, s *store.Store) error { return s.RemoveApp(ctx, pageApp, cutAuthor, nil) },
			func(ctx context.Context, w *lostWorld) error {
				_, err := w.there.AddApp(ctx, pageApp.ClientID, storetest.CatalogID, nil, store.Actor{RequestID: "meanwhile"})
				return err
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newLostWorld(t, 0)
			w.meanwhile(t, func(ctx context.Context) error { return c.meanwhile(ctx, w) })
			w.cutter.arm("commit", cutAnswer)
			if err := c.write(t.Context(), w.here); err != nil {
				t.Error(err)
			}
			if n := w.cutter.count(); n != 1 {
				t.Errorf("cut %d times", n)
			}
		})
	}
}

// TestLostWriteUnderAUsedRequestID has another write of the same author under the same request id in the database, at the
// same time: it is not taken for the one that was lost before it came to the database.
func TestLostWriteUnderAUsedRequestID(t *testing.T) {
	t.Parallel()
	five := store.Fields{store.ColumnLicenseCount: int32(5)}
	for name, other := range map[string]store.Fields{
		"another field":     {store.ColumnIsFavorite: true},
		"another value":     {store.ColumnLicenseCount: int32(6)},
		"more fields":       {store.ColumnLicenseCount: int32(5), store.ColumnIsFavorite: true},
		"the same, in time": nil,
	} {
		t.Run("patch/"+name, func(t *testing.T) {
			t.Parallel()
			w := newLostWorld(t, 0)
			if other != nil {
				must(w.there.UpdateApp(t.Context(), pageApp, other, cutAuthor, nil))(t)
			}
			if name == "more fields" {
				must(w.there.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnLicenseCount: int32(7)}, alice, nil))(t)
			}
			before := must(w.there.GetApp(t.Context(), pageApp))(t)
			w.cutter.arm(cutAuthor.RequestID, cutRequest)
			got := must(w.here.UpdateApp(t.Context(), pageApp, five, cutAuthor, nil))(t)
			last := must(w.there.GetApp(t.Context(), pageApp))(t)
			if wantShown(t, "the answer", got, last); last.Version != before.Version+1 || last.LicenseCount == nil || *last.LicenseCount != 5 {
				t.Errorf("%v at version %d after %d", stateOf(last), last.Version, before.Version)
			}
		})
	}
	t.Run("bulk", func(t *testing.T) {
		t.Parallel()
		w := newLostWorld(t, 0)
		set := func(s *store.Store, ids ...uuid.UUID) {
			t.Helper()
			must(s.BulkSet(t.Context(), pageApp.ClientID, ids, store.ColumnIsApproved, true, cutAuthor))(t)
		}
		set(w.there, pageApp.ID)
		w.cutter.arm("commit", cutRequest)
		set(w.here, pageApp.ID, w.zoom.ID)
		if !get(t, w.there, w.zoom).IsApproved || get(t, w.there, pageApp).Version != 2 {
			t.Errorf("the bulk write was taken for another")
		}
	})
}

// TestLostWriteOfAnAppWithALaterTime has the app written by a server whose clock is ahead: the lost write has its time.
func TestLostWriteOfAnAppWithALaterTime(t *testing.T) {
	t.Parallel()
	w := newLostWorld(t, 10*time.Second)
	before := must(w.there.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnIsFavorite: true}, alice, nil))(t)
	w.cutter.arm(cutAuthor.RequestID, cutAnswer)
	got := must(w.here.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnLicenseCount: int32(5)}, cutAuthor, nil))(t)
	if last := must(w.there.GetApp(t.Context(), pageApp))(t); last.Version != before.Version+1 {
		t.Errorf("version %d after %d", last.Version, before.Version)
	} else {
		wantShown(t, "the answer", got, last)
	}
	if n := w.cutter.count(); n != 1 {
		t.Errorf("cut %d times", n)
	}
}
