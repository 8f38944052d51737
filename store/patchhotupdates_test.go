package store_test

import (
	"testing"
	"time"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// TestPatchesTouchNoIndex checks that patches are HOT updates on PostgreSQL. An index on a column that patches set would prevent that, and
// make patches take twice as long.
func TestPatchesTouchNoIndex(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	clock := &storetest.Clock{}
	s := openSeeded(t, url, storetest.Page(), withClock(clock))
	const patches = 300
	for n := range patches {
		clock.Advance(time.Minute)
		must(s.UpdateApp(t.Context(), pageApp, store.Fields{
			store.ColumnIsFavorite: n%2 == 0, store.ColumnIsApproved: n%2 == 0, store.ColumnLicenseCount: int32(n),
		}, alice, nil))(t)
	}
	db := storetest.SQL(t, url)
	const updates = "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'apps'"
	for deadline := time.Now().Add(time.Minute); queryOne[int](t, db, updates) < patches; {
		if time.Now().After(deadline) {
			t.Fatalf("PostgreSQL counts %d updates, want %d", queryOne[int](t, db, updates), patches)
		}
		get(t, s, pageApp) // a connection reports its counts when it is used
	}
	hot := queryOne[int](t, db, "SELECT n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'apps'")
	if hot < patches*95/100 {
		t.Errorf("of %d patches %d were HOT updates", patches, hot)
	}
}
