package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

func TestUpdateAppSetsWhatIsGivenAndKeepsTheRest(t *testing.T) {
	eachDatabase(t, func(t *testing.T, _ string, s *store.Store) {
		for _, c := range []struct {
			name     string
			fields   store.Fields
			favorite bool
			approved bool
			licenses *int32
			version  int64
		}{
			{"a boolean", store.Fields{store.ColumnIsFavorite: true}, true, false, nil, 2},
			{"another, the first stays", store.Fields{store.ColumnIsApproved: true}, true, true, nil, 3},
			{"a number", store.Fields{store.ColumnLicenseCount: int32(50)}, true, true, ptr[int32](50), 4},
			{"zero is not null", store.Fields{store.ColumnLicenseCount: int32(0)}, true, true, ptr[int32](0), 5},
			{"null clears", store.Fields{store.ColumnLicenseCount: nil}, true, true, nil, 6},
			{"null again is nothing", store.Fields{store.ColumnLicenseCount: nil}, true, true, nil, 6},
			{"the largest", store.Fields{store.ColumnLicenseCount: int32(2147483647)}, true, true, ptr[int32](2147483647), 7},
			{
				"all at once",
				store.Fields{store.ColumnIsFavorite: false, store.ColumnIsApproved: false, store.ColumnLicenseCount: nil},
				false, false, nil, 8,
			},
			{"nothing", store.Fields{}, false, false, nil, 8},
		} {
			app, err := s.UpdateApp(t.Context(), pageApp, c.fields, writer, nil)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if app.IsFavorite != c.favorite || app.IsApproved != c.approved || !reflect.DeepEqual(app.LicenseCount, c.licenses) ||
				app.Version != c.version {
				t.Errorf("%s: %+v", c.name, app)
			}
			if read := get(t, s, pageApp); !reflect.DeepEqual(app, read) {
				t.Errorf("%s: answered %+v, then read %+v", c.name, app, read)
			}
		}
		if other := get(t, s, otherApp); other.Version != 1 {
			t.Errorf("the other client's app was written: %+v", other)
		}
	})
}

func TestUpdateAppThatChangesNothingWritesNothing(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string, s *store.Store) {
		fields := store.Fields{store.ColumnIsFavorite: true, store.ColumnLicenseCount: int32(5)}
		first, err := s.UpdateApp(t.Context(), pageApp, fields, writer, nil)
		if err != nil {
			t.Fatal(err)
		}
		before := dump(t, url, "apps", "app_changes")
		later := storetest.Open(t, url, withClock(clockAhead(time.Hour)))
		for _, same := range []store.Fields{fields, {store.ColumnIsFavorite: true}, {store.ColumnLicenseCount: int32(5)}, {}} {
			again, err := later.UpdateApp(t.Context(), pageApp, same, store.Actor{Name: "somebody else", RequestID: "2"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if again.ETag() != first.ETag() || !again.UpdatedAt.Equal(first.UpdatedAt) {
				t.Errorf("%v: %+v", same, again)
			}
		}
		if after := dump(t, url, "apps", "app_changes"); after != before {
			t.Errorf("written:\n%s\nbefore:\n%s", after, before)
		}
	})
}

func TestMissingAppsAndClients(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string, s *store.Store) {
		nobody := uuid.MustParse("00000000-0000-0000-0000-000000000001")
		before := dump(t, url, "apps", "app_changes")
		for _, c := range []struct {
			key  store.AppKey
			kind store.Kind
			id   uuid.UUID
		}{
			{store.AppKey{ClientID: storetest.ClientID, ID: nobody}, store.KindApp, nobody},
			{store.AppKey{ClientID: storetest.ClientID, ID: storetest.OtherAppID}, store.KindApp, storetest.OtherAppID},
			{store.AppKey{ClientID: nobody, ID: storetest.AppID}, store.KindClient, nobody},
			{store.AppKey{}, store.KindClient, uuid.Nil},
			{store.AppKey{ID: storetest.AppID}, store.KindClient, uuid.Nil},
		} {
			_, read := s.GetApp(t.Context(), c.key)
			_, written := s.UpdateApp(t.Context(), c.key, store.Fields{store.ColumnIsFavorite: true}, writer, nil)
			_, empty := s.UpdateApp(t.Context(), c.key, store.Fields{}, writer, nil)
			_, matched := s.UpdateApp(t.Context(), c.key, store.Fields{}, writer, &store.IfMatch{Tags: []string{"x"}})
			for _, err := range []error{read, written, empty, matched} {
				var missing *store.NotFoundError
				if !errors.As(err, &missing) || missing.Kind != c.kind || missing.ID != c.id {
					t.Errorf("%v: %v", c.key, err)
				}
			}
		}
		if after := dump(t, url, "apps", "app_changes"); after != before {
			t.Errorf("written:\n%s", after)
		}
	})
}

func TestUpdateAppWithMatch(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string, s *store.Store) {
		old := get(t, s, pageApp).ETag()
		app, err := s.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnIsFavorite: true}, writer, &store.IfMatch{Tags: []string{"x", old}})
		if err != nil || !app.IsFavorite {
			t.Fatalf("%+v, %v", app, err)
		}
		before := dump(t, url, "apps", "app_changes")
		for _, fields := range []store.Fields{{store.ColumnIsFavorite: false}, {store.ColumnIsFavorite: true}, {}} {
			for _, match := range []*store.IfMatch{{Tags: []string{old}}, {Tags: []string{""}}, {}} {
				var changed *store.PreconditionError
				if _, err := s.UpdateApp(t.Context(), pageApp, fields, writer, match); !errors.As(err, &changed) {
					t.Errorf("%v with %v: %v", fields, match, err)
				}
			}
		}
		if after := dump(t, url, "apps", "app_changes"); after != before {
			t.Errorf("written:\n%s", after)
		}
	})
}

func TestOfSixteenPatchesWithOneTagOneWins(t *testing.T) {
	eachDatabase(t, func(t *testing.T, _ string, s *store.Store) {
		tag := get(t, s, pageApp).ETag()
		errs := make([]error, 16)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				fields := store.Fields{store.ColumnLicenseCount: int32(i)}
				_, errs[i] = s.UpdateApp(t.Context(), pageApp, fields, writer, &store.IfMatch{Tags: []string{tag}})
			})
		}
		wg.Wait()
		won := 0
		for i, err := range errs {
			var changed *store.PreconditionError
			switch {
			case err == nil:
				won++
				if app := get(t, s, pageApp); *app.LicenseCount != int32(i) {
					t.Errorf("patch %d won, and the app has %d licenses", i, *app.LicenseCount)
				}
			case !errors.As(err, &changed):
				t.Errorf("patch %d: %v", i, err)
			}
		}
		if won != 1 {
			t.Errorf("%d patches won", won)
		}
	})
}

// TestPatchReturnsWhatItWrote races patches that undo each other. Each returns an app with the values that it set, and a version that no
// other app state has.
func TestPatchReturnsWhatItWrote(t *testing.T) {
	eachDatabase(t, func(t *testing.T, _ string, s *store.Store) {
		var mu sync.Mutex
		states := map[int64]string{}
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				random := rand.New(rand.NewPCG(uint64(w), 2))
				for range 40 {
					want := random.IntN(2) == 0
					app, err := s.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnIsFavorite: want}, writer, nil)
					if err != nil || app.IsFavorite != want {
						t.Errorf("asked for %v: %v, %v", want, app.IsFavorite, err)
						return
					}
					state := fmt.Sprint(app.IsFavorite, app.UpdatedAt)
					mu.Lock()
					if have, ok := states[app.Version]; ok && have != state {
						t.Errorf("version %d is %s and %s", app.Version, have, state)
					}
					states[app.Version] = state
					mu.Unlock()
				}
			})
		}
		wg.Wait()
	})
}

func TestPatchesOfDifferentFieldsKeepEachOther(t *testing.T) {
	eachDatabase(t, func(t *testing.T, _ string, s *store.Store) {
		var wg sync.WaitGroup
		for _, fields := range []store.Fields{
			{store.ColumnIsFavorite: true}, {store.ColumnIsApproved: true}, {store.ColumnLicenseCount: int32(7)},
		} {
			wg.Go(func() {
				if _, err := s.UpdateApp(t.Context(), pageApp, fields, writer, nil); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if app := get(t, s, pageApp); !app.IsFavorite || !app.IsApproved || app.LicenseCount == nil || *app.LicenseCount != 7 || app.Version != 4 {
			t.Errorf("%+v", app)
		}
	})
}

func TestTimesAreUTCMilliseconds(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := clockAhead(123_999_999 * time.Nanosecond)
		elsewhere := time.FixedZone("", 3600)
		s := storetest.Open(t, url, func(cfg *store.Config) { cfg.Clock = func() time.Time { return clock.Now().In(elsewhere) } })
		if err := s.Seed(t.Context(), storetest.Page()); err != nil {
			t.Fatal(err)
		}
		app, err := s.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnIsFavorite: true}, writer, nil)
		want := storetest.Now.Add(123 * time.Millisecond)
		if read := get(t, s, pageApp); err != nil || !app.UpdatedAt.Equal(want) || !read.UpdatedAt.Equal(want) {
			t.Errorf("written %v, read %v, want %v (%v)", app.UpdatedAt, read.UpdatedAt, want, err)
		}
	})
}
