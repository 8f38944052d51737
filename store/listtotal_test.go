package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// TestTotalOfAppsAfterConcurrentWrites has many writers add, remove and import apps of two clients at once. Some calls fail. The total,
// which triggers maintain, must be the number of apps.
func TestTotalOfAppsAfterConcurrentWrites(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		data := store.Dataset{Clients: []store.Client{client("Contoso"), client("Fabrikam"), client("Empty")}}
		for n := range 30 {
			data.CatalogApps = append(data.CatalogApps, catalogApp(fmt.Sprintf("App %d", n)))
		}
		data.Apps = []store.App{app("Contoso", "App 0"), app("Contoso", "App 1"), app("Fabrikam", "App 0")}
		s := openSeeded(t, url, data)
		// Rows that exist already are not counted again.
		if err := s.Seed(t.Context(), data); err != nil {
			t.Fatal(err)
		}
		wantTotals(t, s, map[string]int64{"Contoso": 2, "Fabrikam": 1, "Empty": 0})

		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		var writers sync.WaitGroup
		for n := range 8 {
			random := rand.New(rand.NewPCG(seed, uint64(n)))
			writers.Go(func() {
				for range 25 {
					if err := writeAtRandom(t, s, random); err != nil {
						t.Errorf("writer %d: %v", n, err)
					}
				}
			})
		}
		writers.Wait()

		want := map[string]int64{}
		for _, name := range []string{"Contoso", "Fabrikam", "Empty"} {
			count := "SELECT count(*) FROM apps WHERE client_id = '" + idOf(name).String() + "'"
			want[name] = queryOne[int64](t, storetest.SQL(t, url), count)
		}
		if want["Contoso"] < 2 {
			t.Errorf("%d apps are left, too few for a second page", want["Contoso"])
		}
		wantTotals(t, s, want)
	})
}

// wantTotals reads pages of one app, since the total of a page with all apps is counted from its rows.
func wantTotals(t *testing.T, s *store.Store, want map[string]int64) {
	t.Helper()
	for name, total := range want {
		p := store.Page{Size: 1, SortBy: store.ColumnCanonicalName}
		list := must(s.ListApps(t.Context(), idOf(name), store.AppFilter{}, p))(t)
		if list.Total != total {
			t.Errorf("%s has %d apps, want %d", name, list.Total, total)
		}
		for p.After = list.Next; p.After != nil; p.After = list.Next {
			if list = must(s.ListApps(t.Context(), idOf(name), store.AppFilter{}, p))(t); list.Total != total {
				t.Errorf("%s has %d apps on a later page, want %d", name, list.Total, total)
			}
		}
	}
}

// writeAtRandom adds or removes an app, or imports some, possibly as a dry run.
func writeAtRandom(t *testing.T, s *store.Store, random *rand.Rand) error {
	t.Helper()
	owner := idOf([]string{"Contoso", "Fabrikam"}[random.IntN(2)])
	name := fmt.Sprintf("App %d", random.IntN(30))
	switch random.IntN(6) {
	case 0:
		rows := appRows(store.AppRow{Name: name}, store.AppRow{Name: fmt.Sprintf("app %d", random.IntN(30))})
		ctx := t.Context()
		if random.IntN(2) == 0 {
			ctx = store.DryRun(ctx)
		}
		_, err := s.ImportApps(ctx, owner, rows, alice, store.ImportOptions{})
		if twice := (*store.ImportError)(nil); errors.As(err, &twice) {
			return nil
		}
		return err
	case 1, 2:
		list, err := s.ListApps(t.Context(), owner, store.AppFilter{}, fullPage(store.ColumnCreatedAt))
		if err != nil || len(list.Rows) == 0 {
			return err
		}
		key := store.AppKey{ClientID: owner, ID: list.Rows[random.IntN(len(list.Rows))].ID}
		err = s.RemoveApp(t.Context(), key, alice, nil)
		if gone := (*store.NotFoundError)(nil); errors.As(err, &gone) {
			return nil
		}
		return err
	}
	_, err := s.AddApp(t.Context(), owner, idOf(name), nil, alice)
	if have := (*store.ConflictError)(nil); errors.As(err, &have) {
		return nil
	}
	return err
}
