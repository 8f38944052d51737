package store_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

const day = 24 * time.Hour

// prune prunes the history, and checks that a dry run before it counts the same.
func prune(t *testing.T, s *store.Store, olderThan time.Duration) store.PruneResult {
	t.Helper()
	counted := must(s.PruneHistory(t.Context(), olderThan, store.PruneOptions{DryRun: true}))(t)
	done := must(s.PruneHistory(t.Context(), olderThan, store.PruneOptions{}))(t)
	if done != counted {
		t.Errorf("%+v was deleted, and the dry run has %+v", done, counted)
	}
	return done
}

// wantExpired checks that a position of the feed of all clients has expired, or has not, for a list and for a stream.
func wantExpired(t *testing.T, what string, s *store.Store, from store.ChangeStart, want bool) {
	t.Helper()
	_, err := s.ListAllChanges(t.Context(), everyClient, store.ChangeFilter{}, from, 1)
	if errors.Is(err, store.ErrCursorExpired) != want {
		t.Errorf("%s: %v, want expired: %t", what, err, want)
	}
	stream := s.FollowAllChanges(everyClient, store.ChangeFilter{}, from)
	defer stream.Close()
	if _, err = stream.Next(t.Context(), time.Millisecond, 1); errors.Is(err, store.ErrCursorExpired) != want {
		t.Errorf("%s, a stream: %v, want expired: %t", what, err, want)
	}
}

// TestPruneHistory prunes changes of forty days. What is older goes, cursors and times before it expire, and all others go on.
func TestPruneHistory(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		s := openSeeded(t, url, storetest.Page(), withClock(clock))
		ctx := t.Context()
		// A client that is deleted on the first day.
		gone := must(s.CreateClient(ctx, uuid.New(), "Gone", alice))(t)
		must(s.UpdateClient(ctx, gone.ID, store.Fields{store.ColumnStatus: store.StatusSuspended}, alice, nil))(t)
		must(s.DeleteClient(ctx, gone.ID, alice, nil))(t)
		const days = 40
		var ends, catalogEnds []store.Position
		for i := range days {
			must(s.UpdateApp(ctx, pageApp, store.Fields{store.ColumnLicenseCount: int32(i)}, writer, nil))(t)
			must(s.UpdateVendor(ctx, storetest.VendorID, store.Fields{store.ColumnURL: fmt.Sprintf("https://%d.example.com", i)}, alice, nil))(t)
			awaitFeed(t, s, store.ChangeStart{}, 6+1+i+1)
			_, end := feed(t, s, store.ChangeStart{})
			_, catalogEnd := catalogFeed(t, s, store.ChangeStart{})
			ends, catalogEnds = append(ends, end), append(catalogEnds, catalogEnd)
			clock.Advance(day)
		}
		if done := prune(t, s, 1000*day); done != (store.PruneResult{}) {
			t.Errorf("what is there is not that old: %+v", done)
		}
		wantExpired(t, "before anything is deleted", s, store.ChangeStart{After: &ends[0]}, false)
		all, _ := feed(t, s, store.ChangeStart{})
		catalog, _ := catalogFeed(t, s, store.ChangeStart{})
		for _, keep := range []int{30, 31, 10} { // the second is behind the first
			const kept = 1 // the deletion of the client
			prune(t, s, time.Duration(keep)*day+time.Hour)
			keep = min(keep, 30)
			rows, _ := feed(t, s, store.ChangeStart{})
			wantJSON(t, "what is kept", rows, all[len(all)-keep:])
			if n := len(wholeHistory(t, url)); n != keep+kept {
				t.Errorf("%d changes are kept, want %d", n, keep+kept)
			}
			entries, _ := catalogFeed(t, s, store.ChangeStart{})
			wantJSON(t, "what is kept of the catalog", entries, catalog[len(catalog)-keep:])
			for i := range ends {
				expired := i < days-keep-1 // the end of a day is behind its change
				wantExpired(t, fmt.Sprintf("day %d of %d", i, days-keep), s, store.ChangeStart{After: &ends[i]}, expired)
				_, err := s.ListCatalogChanges(ctx, store.ChangeStart{After: &catalogEnds[i]}, 1)
				if errors.Is(err, store.ErrCursorExpired) != expired {
					t.Errorf("day %d of the catalog: %v", i, err)
				}
				if expired {
					continue
				}
				rows, _ := feed(t, s, store.ChangeStart{After: &ends[i]})
				wantJSON(t, "behind the cursor", append([]store.AppChange{}, rows...), all[len(all)-(days-1-i):])
				entries, _ := catalogFeed(t, s, store.ChangeStart{After: &catalogEnds[i]})
				wantJSON(t, "behind the cursor of the catalog", append([]store.CatalogChange{}, entries...), catalog[len(catalog)-(days-1-i):])
			}
			before, since := clock.Now().Add(-time.Duration(keep+2)*day), clock.Now().Add(-time.Duration(keep)*day)
			wantExpired(t, "since before what is kept", s, store.ChangeStart{Since: &before}, true)
			wantExpired(t, "since what is kept", s, store.ChangeStart{Since: &since}, false)
			if _, err := s.ListCatalogChanges(ctx, store.ChangeStart{Since: &before}, 1); !errors.Is(err, store.ErrCursorExpired) {
				t.Errorf("the catalog since before what is kept: %v", err)
			}
			if list := must(s.ListAppChanges(ctx, pageApp, store.Page{Size: 5}))(t); list.Total != int64(keep) || len(list.Rows) != 5 {
				t.Errorf("the history of the app has %d of %d changes", len(list.Rows), list.Total)
			}
		}
		// All is old.
		clock.Advance(365 * day)
		_, end := feed(t, s, store.ChangeStart{})
		prune(t, s, day)
		wantExpired(t, "the end", s, store.ChangeStart{After: &end}, false)
		wantExpired(t, "the last day", s, store.ChangeStart{After: &ends[days-1]}, false)
		if rows, _ := feed(t, s, store.ChangeStart{}); len(rows) != 0 || len(wholeHistory(t, url)) != 1 {
			t.Errorf("kept: %+v", rows)
		}
		if list := must(s.ListAppChanges(ctx, pageApp, store.Page{Size: 5}))(t); list.Total != 0 {
			t.Errorf("the history of the app: %+v", list)
		}
		if _, err := s.CreateClient(ctx, gone.ID, "Back", alice); !errors.As(err, new(*store.ConflictError)) {
			t.Errorf("the id of a deleted client: %v", err)
		}
		must(s.UpdateApp(ctx, pageApp, store.Fields{store.ColumnIsFavorite: true}, writer, nil))(t)
		awaitFeed(t, s, store.ChangeStart{After: &end}, 1)
	})
}

// An older change that comes behind a younger one stays.
func TestPruneEndsAtTheFirstYoungChange(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		s := openSeeded(t, url, storetest.Page(), withClock(clock))
		early, late := &storetest.Clock{}, &storetest.Clock{}
		late.Advance(50 * day)
		other := store.AppKey{ClientID: storetest.OtherClientID, ID: storetest.OtherAppID}
		for _, step := range []struct {
			clock *storetest.Clock
			key   store.AppKey
		}{{late, pageApp}, {early, other}} {
			writes := storetest.Open(t, url, withClock(step.clock))
			must(writes.UpdateApp(t.Context(), step.key, store.Fields{store.ColumnLicenseCount: int32(77)}, writer, nil))(t)
		}
		awaitFeed(t, s, store.ChangeStart{}, 8)
		clock.Advance(100 * day)
		prune(t, s, 60*day)
		if rows, _ := feed(t, s, store.ChangeStart{}); len(rows) != 2 || rows[0].AppID != pageApp.ID || rows[1].AppID != other.ID {
			t.Errorf("kept: %+v", rows)
		}
	})
}

// A follower that is behind what is deleted gets every change once while the history is pruned in many batches and others write.
func TestFollowersWhilePruning(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		s := openSeeded(t, url, storetest.Page(), withClock(clock))
		ctx := t.Context()
		insert := "INSERT INTO app_changes (client_id, app_id, version, field, old_value, new_value, actor_id, actor_name, request_id, changed_at, position) " +
			"SELECT client_id, app_id, n, field, old_value, new_value, actor_id, actor_name, request_id, changed_at, %s FROM app_changes, %s WHERE field = 'app' AND app_id = '" +
			pageApp.ID.String() + "' AND version = 1"
		if strings.HasPrefix(url, "sqlite:") {
			insert = fmt.Sprintf(insert, "NULL", "(WITH RECURSIVE s(n) AS (SELECT 1000 UNION ALL SELECT n + 1 FROM s WHERE n < 6499) SELECT n FROM s)")
		} else {
			insert = fmt.Sprintf(insert, "position", "generate_series(1000, 6499) AS n")
		}
		must(storetest.SQL(t, url).ExecContext(ctx, insert))(t)
		var end store.Position
		eventually(t, "all changes in the feed", func() bool {
			list := must(s.ListAllChanges(ctx, everyClient, store.ChangeFilter{}, store.ChangeStart{}, 6000))(t)
			end = list.Next
			return len(list.Rows) == 5506
		})
		clock.Advance(100 * day)
		const writes = 100
		stream := s.FollowAllChanges(everyClient, store.ChangeFilter{}, store.ChangeStart{After: &end})
		defer stream.Close()
		var group sync.WaitGroup
		defer group.Wait()
		group.Go(func() {
			for i := range writes {
				if _, err := s.UpdateApp(ctx, pageApp, store.Fields{store.ColumnLicenseCount: int32(1000 + i)}, writer, nil); err != nil {
					t.Error(err)
				}
			}
		})
		batches := 0
		group.Go(func() {
			done, err := s.PruneHistory(ctx, 50*day, store.PruneOptions{Progress: func(int) { batches++ }})
			if err != nil || done.Changes != 5506 || batches < 6 {
				t.Errorf("%+v in %d batches, %v", done, batches, err)
			}
		})
		var got []string
		for deadline := time.Now().Add(time.Minute); len(got) < writes && time.Now().Before(deadline); {
			list, err := stream.Next(ctx, 10*time.Millisecond, 7)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range list.Rows {
				got = append(got, c.NewValue)
			}
		}
		for i, value := range got {
			if value != fmt.Sprint(1000+i) {
				t.Fatalf("change %d is %s", i, value)
			}
		}
		if len(got) != writes {
			t.Errorf("%d changes, want %d", len(got), writes)
		}
	})
}

// A run that is interrupted leaves no gap, and the next one deletes the rest.
func TestPruneGoesOn(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		s := openSeeded(t, url, storetest.Page(), withClock(clock))
		awaitFeed(t, s, store.ChangeStart{}, 6)
		clock.Advance(100 * day)
		must(s.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnIsFavorite: true}, writer, nil))(t)
		awaitFeed(t, s, store.ChangeStart{}, 7)
		db := storetest.SQL(t, url)
		refuse := "CREATE TRIGGER refuse BEFORE DELETE ON app_changes BEGIN SELECT RAISE(ABORT, 'stop'); END"
		allow := "DROP TRIGGER refuse"
		if !strings.HasPrefix(url, "sqlite:") {
			refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'stop'; END $$;" +
				"CREATE TRIGGER refuse BEFORE DELETE ON app_changes FOR EACH ROW EXECUTE FUNCTION refuse()"
			allow += " ON app_changes"
		}
		must(db.ExecContext(t.Context(), refuse))(t)
		if _, err := s.PruneHistory(t.Context(), 50*day, store.PruneOptions{}); err == nil {
			t.Error("nothing was refused")
		}
		if rows, _ := feed(t, s, store.ChangeStart{}); len(rows) != 1 || len(wholeHistory(t, url)) != 7 {
			t.Errorf("the feed has %+v", rows)
		}
		must(db.ExecContext(t.Context(), allow))(t)
		if done := prune(t, s, 50*day); done.Changes != 6 || done.CatalogChanges != 13 {
			t.Errorf("%+v", done)
		}
	})
}

// All cursors expire, also those of a copy of the file that nothing tells from it.
func TestRenewHistory(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		s := openSeeded(t, url, storetest.Page())
		awaitFeed(t, s, store.ChangeStart{}, 6)
		_, end := feed(t, s, store.ChangeStart{})
		_, catalogEnd := catalogFeed(t, s, store.ChangeStart{})
		if err := s.RenewHistory(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantExpired(t, "a cursor from before", s, store.ChangeStart{After: &end}, true)
		if _, err := s.ListCatalogChanges(t.Context(), store.ChangeStart{After: &catalogEnd}, 1); !errors.Is(err, store.ErrCursorExpired) {
			t.Errorf("a cursor of the catalog: %v", err)
		}
		awaitFeed(t, s, store.ChangeStart{}, 6)
		_, end = feed(t, s, store.ChangeStart{})
		must(s.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnIsFavorite: true}, writer, nil))(t)
		awaitFeed(t, s, store.ChangeStart{After: &end}, 1)
	})
}

// The role that serves may not prune.
func TestServerRoleMayNotPrune(t *testing.T) {
	t.Parallel()
	owner, role := storetest.Roles(t)
	clock := &storetest.Clock{}
	s := openSeeded(t, role, storetest.Page(), withClock(clock))
	awaitFeed(t, s, store.ChangeStart{}, 6)
	_, end := feed(t, s, store.ChangeStart{})
	clock.Advance(100 * day)
	if _, err := s.PruneHistory(t.Context(), day, store.PruneOptions{}); !errors.Is(err, store.ErrMayNotPrune) {
		t.Error(err)
	}
	if rows, _ := feed(t, s, store.ChangeStart{}); len(rows) != 6 {
		t.Errorf("%d changes are left", len(rows))
	}
	if done := prune(t, storetest.Open(t, owner, withClock(clock)), day); done.Changes != 6 || done.CatalogChanges != 13 {
		t.Errorf("the owner: %+v", done)
	}
	wantExpired(t, "the end", s, store.ChangeStart{After: &end}, false)
}

// The estimate of how many changes are kept follows what is written and pruned.
func TestChangesKept(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		s := openSeeded(t, url, storetest.Page(), withClock(clock))
		awaitFeed(t, s, store.ChangeStart{}, 6)
		db := storetest.SQL(t, url)
		want := func(n int64) {
			t.Helper()
			must(db.ExecContext(t.Context(), "ANALYZE app_changes"))(t)
			counts := storetest.Open(t, url) // it counts when somebody first follows the feed
			counts.FollowAllChanges(everyClient, store.ChangeFilter{}, store.ChangeStart{}).Close()
			if !storetest.Poll(func() bool { return counts.Stats().Changes.Kept == n }) {
				t.Fatalf("%d changes, want %d", counts.Stats().Changes.Kept, n)
			}
		}
		want(6)
		clock.Advance(100 * day)
		must(s.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnIsFavorite: true}, writer, nil))(t)
		awaitFeed(t, s, store.ChangeStart{}, 7)
		prune(t, s, 50*day)
		want(1)
	})
}
