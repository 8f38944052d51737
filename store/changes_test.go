package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

func TestListAppChanges(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		s := openSeeded(t, url, storetest.Page(), withClock(clock))
		key := store.AppKey{ClientID: storetest.ClientID, ID: storetest.AppID}
		bob := store.Actor{ID: idOf("bob"), Name: "bob", RequestID: "bob-1"}
		update := func(by store.Actor, fields store.Fields) {
			t.Helper()
			clock.Advance(time.Minute)
			must(s.UpdateApp(t.Context(), key, fields, by, nil))(t)
		}

		added := must(s.GetApp(t.Context(), key))(t).CreatedAt
		update(alice, store.Fields{store.ColumnLicenseCount: int32(0), store.ColumnIsFavorite: true, store.ColumnIsApproved: true})
		first := clock.Now()
		update(bob, store.Fields{store.ColumnLicenseCount: int32(50), store.ColumnIsFavorite: true})
		second := clock.Now()
		update(alice, store.Fields{store.ColumnLicenseCount: int32(50), store.ColumnIsApproved: true}) // unchanged
		update(alice, store.Fields{})
		update(alice, store.Fields{store.ColumnLicenseCount: nil})

		want := []store.AppChange{
			change(key, 4, "license_count", "50", "null", alice, clock.Now()),
			change(key, 3, "license_count", "0", "50", bob, second),
			change(key, 2, "license_count", "null", "0", alice, first),
			change(key, 2, "is_favorite", "false", "true", alice, first),
			change(key, 2, "is_approved", "false", "true", alice, first),
			change(key, 1, "app", "null", `"`+storetest.CatalogID.String()+`"`, store.Actor{Name: "seed", RequestID: "seed"}, added),
		}
		got := history(t, s, key)
		wantJSON(t, "the history", got, want)
		seen := map[uuid.UUID]bool{}
		for _, c := range got {
			seen[c.ID()] = true
		}
		if len(seen) != len(want) {
			t.Errorf("%d changes have %d ids", len(want), len(seen))
		}

		// Pages of every size, so that some end between the changes of one write.
		for size := 1; size <= len(want)+1; size++ {
			var paged []store.AppChange
			pages := 0
			for p := (store.Page{Size: size, SortBy: store.ColumnUpdatedAt}); ; pages++ {
				list := must(s.ListAppChanges(t.Context(), key, p))(t)
				if list.Total != int64(len(want)) {
					t.Errorf("the total is %d", list.Total)
				}
				paged = append(paged, withoutFeed(list.Rows)...)
				if list.Next == nil || pages > len(want) {
					break
				}
				p.After = list.Next
			}
			wantJSON(t, "the history in pages", paged, want)
			if most := (len(want) - 1) / size; pages != most {
				t.Errorf("in pages of %d there is a next page after %d pages, want %d pages", size, pages, most)
			}
		}

		// A change that is made between two pages belongs before the first page: it does not appear on the second.
		page := must(s.ListAppChanges(t.Context(), key, store.Page{Size: 2}))(t)
		update(bob, store.Fields{store.ColumnIsFavorite: false})
		rest := must(s.ListAppChanges(t.Context(), key, store.Page{Size: 500, After: page.Next}))(t)
		wantJSON(t, "what comes behind the first two", withoutFeed(rest.Rows), want[2:])

		// The other client's app of the same catalog app has another history.
		other := store.AppKey{ClientID: storetest.OtherClientID, ID: storetest.OtherAppID}
		if got := history(t, s, other); len(got) != 1 || got[0].Field != "app" {
			t.Errorf("the other client's app has the history %s", asJSON(t, got))
		}
	})
}

func TestListAppChangesRefusals(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		s := openSeeded(t, url, storetest.Page())
		for _, c := range []struct {
			client, app uuid.UUID
			want        store.NotFoundError
		}{
			{storetest.ClientID, idOf("unknown"), store.NotFoundError{Kind: store.KindApp, ID: idOf("unknown")}},
			{storetest.ClientID, storetest.OtherAppID, store.NotFoundError{Kind: store.KindApp, ID: storetest.OtherAppID}},
			{storetest.OtherClientID, storetest.AppID, store.NotFoundError{Kind: store.KindApp, ID: storetest.AppID}},
			{idOf("nobody"), storetest.AppID, store.NotFoundError{Kind: store.KindClient, ID: idOf("nobody")}},
		} {
			_, err := s.ListAppChanges(t.Context(), store.AppKey{ClientID: c.client, ID: c.app}, fullPage(""))
			wantError(t, err, &c.want)
		}
		_, err := s.ListAppChanges(t.Context(), store.AppKey{ClientID: storetest.ClientID, ID: storetest.AppID},
			store.Page{Size: 5, After: &store.Position{SortKey: "first", TieBreaker: "app"}})
		if err == nil {
			t.Error("there is a page after the oldest change")
		}
	})
}

// TestCountOfALongHistory reads pages of a history whose count is remembered, while it grows and is cut: the total is that of the rows.
func TestCountOfALongHistory(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		s := openSeeded(t, url, storetest.Page())
		db := storetest.SQL(t, url)
		wantTotal := func(want int64) {
			t.Helper()
			list := must(s.ListAppChanges(t.Context(), pageApp, store.Page{Size: 10}))(t)
			if list.Total != want {
				t.Errorf("the total is %d, want %d", list.Total, want)
			}
		}
		for version := 2; version <= 2000; version++ {
			must(db.ExecContext(t.Context(), fmt.Sprintf(`INSERT INTO app_changes (client_id, app_id, version, field, old_value, new_value, actor_id,
				actor_name, request_id, changed_at) SELECT client_id, app_id, %d, 'is_favorite', 'false', 'true', actor_id, actor_name, request_id, changed_at
				FROM app_changes WHERE client_id = '%s' AND app_id = '%s' AND version = 1`, version, pageApp.ClientID, pageApp.ID)))(t)
		}
		wantTotal(2000)
		must(db.ExecContext(t.Context(), fmt.Sprintf("UPDATE apps SET version = 2000 WHERE client_id = '%s' AND id = '%s'", pageApp.ClientID, pageApp.ID)))(t)
		for i := range int64(3) {
			must(s.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnLicenseCount: int32(i)}, writer, nil))(t)
			wantTotal(2001 + i)
		}
		must(db.ExecContext(t.Context(), "DELETE FROM app_changes WHERE version < 500"))(t)
		wantTotal(2003 - 499)
	})
}
