package store_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// everyClient is a token for all clients.
var everyClient = &store.Token{AllClients: true}

// feed reads all changes of a feed from a place on.
func feed(t *testing.T, s *store.Store, from store.ChangeStart) (rows []store.AppChange, next store.Position) {
	t.Helper()
	for {
		list := must(s.ListAllChanges(t.Context(), everyClient, store.ChangeFilter{}, from, 3))(t)
		rows, from = append(rows, list.Rows...), store.ChangeStart{After: &list.Next}
		if !list.More {
			return rows, list.Next
		}
	}
}

// awaitFeed reads a feed until it has this many changes: transactions of other tests hold it up.
func awaitFeed(t *testing.T, s *store.Store, from store.ChangeStart, n int) []store.AppChange {
	t.Helper()
	var rows []store.AppChange
	storetest.Poll(func() bool { rows, _ = feed(t, s, from); return len(rows) >= n })
	if len(rows) != n {
		t.Fatalf("%d changes, want %d: %+v", len(rows), n, rows)
	}
	return rows
}

// A time finds its place among changes of all times, and never too late a one.
func TestChangesSinceATime(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		s := openSeeded(t, url, storetest.Page(), withClock(clock))
		const days = 40
		for i := range days {
			clock.Advance(24 * time.Hour)
			must(s.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnLicenseCount: int32(i)}, writer, nil))(t)
		}
		awaitFeed(t, s, store.ChangeStart{}, 6+days)
		for i := range days {
			since := storetest.Now.Add(time.Duration(i+1) * 24 * time.Hour)
			for _, at := range []time.Time{since, since.Add(-time.Hour), since.Add(5 * time.Minute)} {
				rows, _ := feed(t, s, store.ChangeStart{Since: &at})
				want := days - i
				if at.After(clock.Now()) {
					want = 0
				}
				if len(rows) != want {
					t.Errorf("since %s: %d changes, want %d", at, len(rows), want)
				}
			}
			after := since.Add(11 * time.Minute)
			if rows, _ := feed(t, s, store.ChangeStart{Since: &after}); len(rows) != days-i-1 {
				t.Errorf("since %s: %d changes, want %d", after, len(rows), days-i-1)
			}
		}
		future := clock.Now().Add(time.Second)
		if rows, _ := feed(t, s, store.ChangeStart{Since: &future}); len(rows) != 0 {
			t.Errorf("in the future: %+v", rows)
		}
		ancient := time.Unix(0, 0)
		awaitFeed(t, s, store.ChangeStart{Since: &ancient}, 6+days)
	})
}

// Changes that were made before there was a feed come first, app by app, with what is known of their catalog apps.
func TestChangesBeforeTheFeed(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		s := openSeeded(t, url, storetest.Page(), withClock(clock))
		clock.Advance(time.Hour)
		must(s.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnIsFavorite: true}, writer, nil))(t)
		clock.Advance(time.Hour)
		if err := s.RemoveApp(t.Context(), pageApp, writer, nil); err != nil {
			t.Fatal(err)
		}
		before := awaitFeed(t, s, store.ChangeStart{}, 8)
		statement := "UPDATE app_changes SET catalog_app_id = NULL"
		if !strings.HasPrefix(url, "sqlite:") {
			statement += ", position = 0"
		}
		if _, err := storetest.SQL(t, url).ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
		clock.Advance(time.Hour)
		must(s.UpdateClient(t.Context(), pageApp.ClientID, store.Fields{store.ColumnName: "New"}, writer, nil))(t)
		after := awaitFeed(t, s, store.ChangeStart{}, 9)
		for i := range after {
			after[i].Position = 0
		}
		for i := range before {
			before[i].Position = 0
		}
		sorted := func(rows []store.AppChange) []store.AppChange {
			return slices.SortedFunc(slices.Values(rows), func(a, b store.AppChange) int { return strings.Compare(a.ID().String(), b.ID().String()) })
		}
		wantJSON(t, "the changes", sorted(after[:8]), sorted(before))
		since := clock.Now() // on PostgreSQL the others are in no order of time, and none is left out
		want := 9
		if strings.HasPrefix(url, "sqlite:") {
			want = 1
		}
		awaitFeed(t, s, store.ChangeStart{Since: &since}, want)
		if last := after[8]; last.Field != "client_name" {
			t.Errorf("the last change is %+v", last)
		}
	})
}

// A cursor of a database that another one has replaced expires, and what follows is a feed again.
func TestCursorsExpire(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		s := openSeeded(t, url, storetest.Page())
		awaitFeed(t, s, store.ChangeStart{}, 6)
		_, end := feed(t, s, store.ChangeStart{})
		// As in a database that was restored elsewhere.
		moved := "UPDATE change_feed SET database_id = 'elsewhere'"
		if strings.HasPrefix(url, "sqlite:") {
			file := filepath.Join(t.TempDir(), "copy.db")
			if err := store.Backup(t.Context(), url, file); err != nil {
				t.Fatal(err)
			}
			url, moved = "sqlite://"+file, "SELECT 1"
			s = storetest.Open(t, url)
		}
		if _, err := storetest.SQL(t, url).ExecContext(t.Context(), moved); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			_, err := s.ListAllChanges(t.Context(), everyClient, store.ChangeFilter{}, store.ChangeStart{After: &end}, 10)
			if !errors.Is(err, store.ErrCursorExpired) {
				t.Errorf("the old cursor: %v", err)
			}
		}
		awaitFeed(t, s, store.ChangeStart{}, 6)
		_, again := feed(t, s, store.ChangeStart{})
		must(s.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnIsFavorite: true}, writer, nil))(t)
		awaitFeed(t, s, store.ChangeStart{After: &again}, 1)
		stream := s.FollowAllChanges(everyClient, store.ChangeFilter{}, store.ChangeStart{After: &end})
		defer stream.Close()
		if _, err := stream.Next(t.Context(), time.Second, 1); !errors.Is(err, store.ErrCursorExpired) {
			t.Errorf("a stream from the old cursor: %v", err)
		}
	})
}

// A database that is distributed by client has no feed.
func TestNoFeedOnADistributedDatabase(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string, s *store.Store) {
		if _, err := storetest.SQL(t, url).ExecContext(t.Context(), "UPDATE change_feed SET distributed = true"); err != nil {
			t.Fatal(err)
		}
		var unavailable *store.UnavailableError
		if _, err := s.ListChanges(t.Context(), pageApp.ClientID, store.ChangeFilter{}, store.ChangeStart{}, 1); !errors.As(err, &unavailable) {
			t.Error(err)
		}
	})
}

// A token follows the changes of the clients that it covers, and of no others.
func TestChangesOfAToken(t *testing.T) {
	eachDatabase(t, func(t *testing.T, _ string, s *store.Store) {
		awaitFeed(t, s, store.ChangeStart{}, 6)
		for _, covered := range [][]uuid.UUID{nil, {storetest.ClientID}, {storetest.OtherClientID}, {storetest.OtherClientID, storetest.ClientID}} {
			token := &store.Token{ClientIDs: covered}
			list := must(s.ListAllChanges(t.Context(), token, store.ChangeFilter{}, store.ChangeStart{}, 100))(t)
			stream := s.FollowAllChanges(token, store.ChangeFilter{}, store.ChangeStart{})
			streamed := must(stream.Next(t.Context(), time.Millisecond, 100))(t)
			stream.Close()
			if len(list.Rows) != 3*len(covered) {
				t.Errorf("a token for %v sees %d changes", covered, len(list.Rows))
			}
			if len(streamed.Rows)+len(list.Rows) > 0 {
				wantJSON(t, "the stream", streamed.Rows, list.Rows)
			}
			for _, change := range list.Rows {
				if !token.Covers(change.ClientID) {
					t.Errorf("a token for %v sees %+v", covered, change)
				}
			}
		}
	})
}

// catalogFeed reads the feed of the catalog from a place to its end.
func catalogFeed(t *testing.T, s *store.Store, from store.ChangeStart) (rows []store.CatalogChange, next store.Position) {
	t.Helper()
	for {
		list := must(s.ListCatalogChanges(t.Context(), from, 3))(t)
		rows, from = append(rows, list.Rows...), store.ChangeStart{After: &list.Next}
		if !list.More {
			return rows, list.Next
		}
	}
}

// The feed of the catalog has the history in its order, begins at a time, and expires with the database.
func TestCatalogFeed(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		s := openSeeded(t, url, storetest.Page(), withClock(clock))
		db := storetest.SQL(t, url)
		const days = 20
		for i := range days {
			clock.Advance(24 * time.Hour)
			must(s.UpdateVendor(t.Context(), storetest.VendorID, store.Fields{store.ColumnURL: fmt.Sprintf("https://%d.example.com", i)}, alice, nil))(t)
		}
		all, end := catalogFeed(t, s, store.ChangeStart{})
		wantJSON(t, "the feed", all, readCatalogHistory(t, db, 0, 1<<62))
		for i := range days {
			at := storetest.Now.Add(time.Duration(i+1) * 24 * time.Hour)
			for since, want := range map[time.Time]int{at.Add(-time.Hour): days - i, at: days - i, at.Add(11 * time.Minute): days - i - 1} {
				if since.After(clock.Now()) {
					want = 0
				}
				if rows, _ := catalogFeed(t, s, store.ChangeStart{Since: &since}); len(rows) != want {
					t.Errorf("since %s: %d changes, want %d", since, len(rows), want)
				}
			}
		}
		ancient := time.Unix(0, 0).Add(-time.Hour)
		rows, _ := catalogFeed(t, s, store.ChangeStart{Since: &ancient})
		wantJSON(t, "since an ancient time", rows, all)
		// A state of the catalog that is older than the cursor.
		must(db.ExecContext(t.Context(), "UPDATE catalog_state SET revision = revision - 1"))(t)
		if _, err := s.ListCatalogChanges(t.Context(), store.ChangeStart{After: &end}, 1); !errors.Is(err, store.ErrCursorExpired) {
			t.Errorf("a cursor of a later state: %v", err)
		}
		if rows, _ := catalogFeed(t, s, store.ChangeStart{}); len(rows) != len(all)-1 {
			t.Errorf("%d changes, want %d: those of revisions that there are not are not committed", len(rows), len(all)-1)
		}
		var unavailable *store.UnavailableError
		must(db.ExecContext(t.Context(), "UPDATE change_feed SET distributed = true"))(t)
		if _, err := s.ListCatalogChanges(t.Context(), store.ChangeStart{}, 1); !errors.As(err, &unavailable) {
			t.Error(err)
		}
	})
}
