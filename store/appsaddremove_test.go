package store_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

func TestAddApp(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		data := storetest.Page()
		data.CatalogApps = append(data.CatalogApps, catalogApp("Zoom"), catalogApp("Miro"))
		s := openSeeded(t, url, data, withClock(clock))

		clock.Advance(time.Minute)
		bare := must(s.AddApp(t.Context(), storetest.ClientID, idOf("Zoom"), nil, alice))(t)
		bareKey := store.AppKey{ClientID: storetest.ClientID, ID: bare.ID}
		wantJSON(t, "an app added with nothing but its catalog app", bare, store.App{
			ClientID: storetest.ClientID, ID: bare.ID, CatalogAppID: idOf("Zoom"), NameKey: "zoom", Version: 1,
			ActorID: alice.ID, ActorName: alice.Name, RequestID: alice.RequestID, CreatedAt: clock.Now(), UpdatedAt: clock.Now(),
			Catalog: must(s.GetCatalogApp(t.Context(), idOf("Zoom")))(t),
		})
		wantJSON(t, "its history", history(t, s, bareKey), []store.AppChange{
			change(bareKey, 1, "app", "null", `"`+idOf("Zoom").String()+`"`, alice, clock.Now()),
		})

		full := must(s.AddApp(t.Context(), storetest.ClientID, idOf("Miro"), store.Fields{
			store.ColumnIsFavorite: true, store.ColumnIsApproved: true, store.ColumnLicenseCount: int32(0),
		}, alice))(t)
		fullKey := store.AppKey{ClientID: storetest.ClientID, ID: full.ID}
		want := bare
		want.ID, want.CatalogAppID, want.NameKey, want.IsFavorite, want.IsApproved = full.ID, idOf("Miro"), "miro", true, true
		want.LicenseCount, want.Catalog = new(int32(0)), must(s.GetCatalogApp(t.Context(), idOf("Miro")))(t)
		wantJSON(t, "an app added with all it can have", full, want)
		wantJSON(t, "its history", history(t, s, fullKey), []store.AppChange{
			change(fullKey, 1, "license_count", "null", "0", alice, clock.Now()),
			change(fullKey, 1, "is_favorite", "false", "true", alice, clock.Now()),
			change(fullKey, 1, "is_approved", "false", "true", alice, clock.Now()),
			change(fullKey, 1, "app", "null", `"`+idOf("Miro").String()+`"`, alice, clock.Now()),
		})

		for _, added := range []store.App{bare, full} {
			got := must(s.GetApp(t.Context(), store.AppKey{ClientID: added.ClientID, ID: added.ID}))(t)
			wantJSON(t, "the app when it is read", got, asRead(added))
			if got.ETag() != added.ETag() {
				t.Errorf("the tag is %s, and %s when the app is read", added.ETag(), got.ETag())
			}
		}
		if bare.ETag() == full.ETag() {
			t.Errorf("two apps have the tag %s", bare.ETag())
		}
	})
}

func TestAddAppRefusals(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		s := openSeeded(t, url, storetest.Page())
		db := storetest.SQL(t, url)
		rows := func() [2]int {
			return [2]int{queryOne[int](t, db, "SELECT count(*) FROM apps"), queryOne[int](t, db, "SELECT count(*) FROM app_changes")}
		}
		before := rows()

		_, err := s.AddApp(t.Context(), storetest.ClientID, storetest.CatalogID, store.Fields{store.ColumnIsFavorite: true}, alice)
		wantError(t, err, &store.ConflictError{Field: "catalog_app_id", ID: storetest.AppID})
		_, err = s.AddApp(t.Context(), storetest.ClientID, idOf("unknown"), nil, alice)
		wantError(t, err, &store.ReferenceError{Field: "catalog_app_id"})
		_, err = s.AddApp(t.Context(), idOf("nobody"), storetest.CatalogID, nil, alice)
		wantError(t, err, &store.NotFoundError{Kind: store.KindClient, ID: idOf("nobody")})
		_, err = s.AddApp(t.Context(), idOf("nobody"), idOf("unknown"), nil, alice)
		wantError(t, err, &store.NotFoundError{Kind: store.KindClient, ID: idOf("nobody")})

		if after := rows(); after != before {
			t.Errorf("refusals wrote: %v rows of apps and changes, before %v", after, before)
		}
	})
}

// TestAddAppOnce adds the same app many times at once. One call succeeds, the others fail with a conflict that names the app.
func TestAddAppOnce(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		data := storetest.Page()
		data.CatalogApps = append(data.CatalogApps, catalogApp("Zoom"))
		s := openSeeded(t, url, data)
		var (
			running sync.WaitGroup
			added   [8]uuid.UUID
			told    [8]uuid.UUID
		)
		for n := range added {
			running.Go(func() {
				a, err := s.AddApp(t.Context(), storetest.ClientID, idOf("Zoom"), nil, alice)
				if have := (*store.ConflictError)(nil); errors.As(err, &have) {
					told[n] = have.ID
				} else if err != nil {
					t.Error(err)
				}
				added[n] = a.ID
			})
		}
		running.Wait()
		var winner uuid.UUID
		for _, id := range added {
			if id != uuid.Nil && winner != uuid.Nil {
				t.Errorf("both %s and %s were added", winner, id)
			}
			if id != uuid.Nil {
				winner = id
			}
		}
		for n, id := range told {
			if added[n] == uuid.Nil && id != winner {
				t.Errorf("a conflict names %s, want %s", id, winner)
			}
		}
	})
}

// TestAddAppWhileItIsRenamed adds apps while their catalog app is renamed. Apps have a copy of the name, by which lists are sorted. It
// must be the new name in either order.
func TestAddAppWhileItIsRenamed(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		const clients, apps = 6, 4
		var data store.Dataset
		for n := range clients {
			data.Clients = append(data.Clients, client(fmt.Sprintf("Client %d", n)))
		}
		for n := range apps {
			data.CatalogApps = append(data.CatalogApps, catalogApp(fmt.Sprintf("App %d", n)))
		}
		servers := []*store.Store{openSeeded(t, url, data), openWithoutPolling(t, url)}
		start := make(chan struct{})
		var running sync.WaitGroup
		for n := range apps {
			id := data.CatalogApps[n].ID
			running.Go(func() {
				<-start
				for round := range 5 {
					name := fmt.Sprintf("Renamed %d-%d", n, round)
					_, err := servers[n%2].UpdateCatalogApp(t.Context(), id, store.Fields{store.ColumnCanonicalName: name}, nil, alice, nil)
					if err != nil {
						t.Error(err)
					}
				}
			})
			for c := range clients {
				running.Go(func() {
					<-start
					if _, err := servers[c%2].AddApp(t.Context(), data.Clients[c].ID, id, nil, alice); err != nil {
						t.Error(err)
					}
				})
			}
		}
		close(start)
		running.Wait()
		db := storetest.SQL(t, url)
		wrong := queryOne[int](t, db, `SELECT count(*) FROM apps JOIN catalog_apps ON catalog_apps.id = apps.catalog_app_id
			WHERE apps.name_key <> catalog_apps.name_key`)
		if all := queryOne[int](t, db, "SELECT count(*) FROM apps"); wrong != 0 || all != clients*apps {
			t.Errorf("of %d apps, %d have the old name of their catalog app", all, wrong)
		}
	})
}

// TestAddAppHoldsTheNameItHasRead pauses AddApp between reading the name and writing it, on PostgreSQL, where a rename could come between.
func TestAddAppHoldsTheNameItHasRead(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	s := openSeeded(t, url, store.Dataset{Clients: []store.Client{client("Contoso")}, CatalogApps: []store.CatalogApp{catalogApp("Zoom")}})
	db := storetest.SQL(t, url)
	var running sync.WaitGroup
	defer running.Wait()
	stop := must(db.BeginTx(t.Context(), nil))(t)
	defer func() { _ = stop.Rollback() }()
	if _, err := stop.ExecContext(t.Context(), "LOCK TABLE apps IN SHARE ROW EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	running.Go(func() {
		if _, err := s.AddApp(t.Context(), idOf("Contoso"), idOf("Zoom"), nil, alice); err != nil {
			t.Error(err)
		}
	})
	waitForLocks(t, db, 1)
	running.Go(func() {
		_, err := s.UpdateCatalogApp(t.Context(), idOf("Zoom"), store.Fields{store.ColumnCanonicalName: "Renamed"}, nil, alice, nil)
		if err != nil {
			t.Error(err)
		}
	})
	waitForLocks(t, db, 2)
	if err := stop.Rollback(); err != nil {
		t.Fatal(err)
	}
	running.Wait()
	if key := queryOne[string](t, db, "SELECT name_key FROM apps"); key != "renamed" {
		t.Errorf("the app is sorted by %q", key)
	}
}

func TestRemoveApp(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		s := openSeeded(t, url, storetest.Page(), withClock(clock))
		key := store.AppKey{ClientID: storetest.ClientID, ID: storetest.AppID}
		slack := `"` + storetest.CatalogID.String() + `"`
		seed := store.Actor{Name: "seed", RequestID: "seed"}
		joined := must(s.GetApp(t.Context(), key))(t).CreatedAt
		must(s.UpdateApp(t.Context(), key, store.Fields{store.ColumnLicenseCount: int32(7)}, alice, nil))(t)

		clock.Advance(time.Minute)
		bob := store.Actor{ID: idOf("bob"), Name: "bob", RequestID: "bob-1"}
		if err := s.RemoveApp(t.Context(), key, bob, nil); err != nil {
			t.Fatal(err)
		}
		missing := &store.NotFoundError{Kind: store.KindApp, ID: key.ID}
		_, err := s.GetApp(t.Context(), key)
		wantError(t, err, missing)
		_, err = s.UpdateApp(t.Context(), key, store.Fields{store.ColumnIsFavorite: true}, alice, nil)
		wantError(t, err, missing)
		wantError(t, s.RemoveApp(t.Context(), key, alice, nil), missing)
		if list := must(s.ListApps(t.Context(), key.ClientID, store.AppFilter{}, fullPage(store.ColumnCreatedAt)))(t); list.Total != 0 {
			t.Errorf("the client still has %s", asJSON(t, list.Rows))
		}
		past := []store.AppChange{
			change(key, 3, "app", slack, "null", bob, clock.Now()),
			change(key, 2, "license_count", "null", "7", alice, storetest.Now),
			change(key, 1, "app", "null", slack, seed, joined),
		}
		wantJSON(t, "the history of what was removed", history(t, s, key), past)

		// Added again, it is another app, with version 1.
		clock.Advance(time.Minute)
		again := must(s.AddApp(t.Context(), key.ClientID, storetest.CatalogID, nil, alice))(t)
		againKey := store.AppKey{ClientID: key.ClientID, ID: again.ID}
		if again.ID == key.ID || again.LicenseCount != nil || again.Version != 1 {
			t.Errorf("added again it is %s", asJSON(t, again))
		}
		wantJSON(t, "its history", history(t, s, againKey), []store.AppChange{change(againKey, 1, "app", "null", slack, alice, clock.Now())})
		wantJSON(t, "the history of what was removed", history(t, s, key), past)

		// The other client's app of the same catalog app is unchanged.
		other := must(s.GetApp(t.Context(), store.AppKey{ClientID: storetest.OtherClientID, ID: storetest.OtherAppID}))(t)
		if other.Version != 1 {
			t.Errorf("the other client's app is %s", asJSON(t, other))
		}
	})
}

func TestRemoveAppRefusals(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		s := openSeeded(t, url, storetest.Page())
		elsewhere := openWithoutPolling(t, url)
		key := store.AppKey{ClientID: storetest.ClientID, ID: storetest.AppID}

		wantError(t, s.RemoveApp(t.Context(), store.AppKey{ClientID: key.ClientID, ID: storetest.OtherAppID}, alice, nil),
			&store.NotFoundError{Kind: store.KindApp, ID: storetest.OtherAppID})
		wantError(t, s.RemoveApp(t.Context(), store.AppKey{ClientID: storetest.OtherClientID, ID: key.ID}, alice, &store.IfMatch{}),
			&store.NotFoundError{Kind: store.KindApp, ID: key.ID})
		wantError(t, s.RemoveApp(t.Context(), store.AppKey{ClientID: idOf("nobody"), ID: key.ID}, alice, nil),
			&store.NotFoundError{Kind: store.KindClient, ID: idOf("nobody")})

		old := must(s.GetApp(t.Context(), key))(t)
		current := must(s.UpdateApp(t.Context(), key, store.Fields{store.ColumnIsFavorite: true}, alice, nil))(t)
		for _, tags := range [][]string{nil, {""}, {old.ETag()}, {old.ETag(), current.Catalog.ETag()}} {
			wantError(t, s.RemoveApp(t.Context(), key, alice, &store.IfMatch{Tags: tags}), &store.PreconditionError{})
		}
		// The tag includes the catalog app, so it is out of date when another server has changed that.
		must(elsewhere.UpdateVendor(t.Context(), storetest.VendorID, store.Fields{store.ColumnURL: nil}, alice, nil))(t)
		wantError(t, s.RemoveApp(t.Context(), key, alice, &store.IfMatch{Tags: []string{current.ETag()}}), &store.PreconditionError{})

		left := must(s.GetApp(t.Context(), key))(t)
		if left.Version != current.Version {
			t.Errorf("after the refused calls the app is %s", asJSON(t, left))
		}
		if got := history(t, s, key); len(got) != 2 {
			t.Errorf("after the refused calls the history is %s", asJSON(t, got))
		}
		if err := s.RemoveApp(t.Context(), key, alice, &store.IfMatch{Tags: []string{old.ETag(), left.ETag()}}); err != nil {
			t.Errorf("with the right tag: %v", err)
		}
	})
}

// TestRemoveAppOnce removes one app many times at once, with its tag and without.
func TestRemoveAppOnce(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		s := openSeeded(t, url, storetest.Page())
		key := store.AppKey{ClientID: storetest.ClientID, ID: storetest.AppID}
		match := &store.IfMatch{Tags: []string{must(s.GetApp(t.Context(), key))(t).ETag()}}
		var running sync.WaitGroup
		var errs [16]error
		for n := range errs {
			running.Go(func() { errs[n] = s.RemoveApp(t.Context(), key, alice, []*store.IfMatch{nil, match}[n%2]) })
		}
		running.Wait()
		removed := 0
		for _, err := range errs {
			if err == nil {
				removed++
				continue
			}
			wantError(t, err, &store.NotFoundError{Kind: store.KindApp, ID: key.ID})
		}
		if removed != 1 {
			t.Errorf("%d calls removed the app, want 1", removed)
		}
		if got := history(t, s, key); len(got) != 2 {
			t.Errorf("the history is %s", asJSON(t, got))
		}
	})
}
