package store_test

import (
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/apitoken"
	"github.com/clientapps/clientapps/store/catalogcache"
	"github.com/clientapps/clientapps/store/storetest"
)

func TestStats(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		s := openWithoutPolling(t, url, withClock(clock))
		fresh := s.Stats()
		pools := map[string]int{}
		for _, pool := range fresh.Pools {
			pools[pool.Name] = pool.Max
		}
		most := map[string]int{"shared": 8}
		if strings.HasPrefix(url, "sqlite") {
			most = map[string]int{"write": 1, "read": 8}
		}
		if fresh.Catalog != (store.CatalogStats{}) || fresh.Tokens != (store.TokenStats{}) || !maps.Equal(pools, most) {
			t.Errorf("an unused store has %+v", fresh)
		}
		if err := s.Seed(t.Context(), storetest.Page()); err != nil {
			t.Fatal(err)
		}

		must(s.GetApp(t.Context(), pageApp))(t)
		want := store.CatalogStats{
			Apps: 1, Revision: revision(t, storetest.SQL(t, url)),
			Stats: catalogcache.Stats{LoadedAt: storetest.Now, CheckedAt: storetest.Now, Loads: 1},
		}
		if got := s.Stats().Catalog; got != want {
			t.Errorf("catalog %+v, want %+v", got, want)
		}
		clock.Advance(time.Minute)
		must(s.UpdateVendor(t.Context(), storetest.VendorID, store.Fields{store.ColumnName: "Renamed"}, alice, nil))(t)
		want.Loads, want.LoadedAt, want.CheckedAt = 2, want.LoadedAt.Add(time.Minute), want.CheckedAt.Add(time.Minute)
		want.Revision++
		if got := s.Stats().Catalog; got != want {
			t.Errorf("catalog after a change %+v, want %+v", got, want)
		}
		clock.Advance(time.Minute)
		_, _ = s.GetCatalogApp(t.Context(), uuid.New()) // checks the catalog for an entry that is not in the snapshot
		want.CheckedAt = want.CheckedAt.Add(time.Minute)
		if got := s.Stats().Catalog; got != want {
			t.Errorf("catalog after a check %+v, want %+v", got, want)
		}

		secret := must(apitoken.New())(t)
		for range 3 {
			_, _ = s.Authenticate(t.Context(), secret) // the cache also remembers unknown tokens
		}
		if got := s.Stats().Tokens; got != (store.TokenStats{Entries: 1, Hits: 2, Misses: 1, Statements: 1}) {
			t.Errorf("tokens %+v", got)
		}
	})
}

// TestStatsOfPatches reads the statistics while patches wait for locked rows, and after they have been written.
func TestStatsOfPatches(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		s := storetest.Open(t, url)
		keys := seedApps(t, s, 12)
		release := lockAllApps(t, url)
		writers := store.MaxWriters
		if strings.HasPrefix(url, "sqlite") {
			writers = 1
		}
		var wg sync.WaitGroup
		for i, key := range keys {
			wg.Go(func() {
				if _, err := s.UpdateApp(t.Context(), key, store.Fields{store.ColumnIsFavorite: true}, alice, nil); err != nil {
					t.Error(err)
				}
			})
			deadline := time.Now().Add(time.Minute)
			for got := s.Stats().Patches; got.InFlight != min(i+1, writers) || got.Queued != max(0, i+1-writers); got = s.Stats().Patches {
				if time.Now().After(deadline) {
					t.Fatalf("after %d patches: %+v", i+1, got)
				}
			}
		}
		held := s.Stats()
		if got := held.Patches; got.Served != uint64(writers) || got.Batches[0] != uint64(writers) {
			t.Errorf("while the apps are locked: %+v", got)
		}
		if pool := held.Pools[0]; pool.InUse == 0 || pool.InUse > pool.Max {
			t.Errorf("while the apps are locked: %+v", pool)
		}
		release()
		wg.Wait()
		got := s.Stats().Patches
		sizes := uint64(0)
		for i, n := range got.Batches {
			sizes += n << i // at most
		}
		if got.Queued != 0 || got.Served != 12 || got.Refused != 0 || got.Batches[3]+got.Batches[4] == 0 || sizes < 12 {
			t.Errorf("at the end: %+v", got)
		}
	})
}

// lockAllApps blocks writes of all apps until release is called.
func lockAllApps(t *testing.T, url string) (release func()) {
	t.Helper()
	conn := must(storetest.SQL(t, url).Conn(t.Context()))(t)
	run := func(statements ...string) {
		t.Helper()
		for _, statement := range statements {
			if _, err := conn.ExecContext(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
	}
	if strings.HasPrefix(url, "sqlite") {
		run("BEGIN IMMEDIATE")
	} else {
		run("BEGIN") // and a statement for each client, since Citus locks rows of one client at a time
		for _, client := range []uuid.UUID{storetest.ClientID, storetest.OtherClientID} {
			run("SELECT id FROM apps WHERE client_id = '" + client.String() + "' FOR UPDATE")
		}
	}
	return func() {
		t.Helper()
		run("ROLLBACK")
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}
