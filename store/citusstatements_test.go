package store_test

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// manyShards are the methods whose statements may be about many clients, and so go to many machines.
var manyShards = map[string]string{
	"ListClients":      "the list of clients is read from all machines, without a transaction",
	"AllClients":       "the command prints them all",
	"UpdateCatalogApp": "a new name goes to the apps of all clients that have it: the catalog is on every machine anyway",
}

// TestStatementsAreOfOneShard calls every method and holds each statement on what is distributed to one client: none needs
// more than one machine, and no transaction of a request does.
func TestStatementsAreOfOneShard(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	w := newPlanFixture(t, url)
	own := queryOne[string](t, storetest.SQL(t, url), "SELECT string_agg(prosrc, ' ') FROM pg_proc WHERE pronamespace = 'public'::regnamespace")
	wire := &planProxy{}
	s := openWithoutPolling(t, wire.listen(t, url, "auto"), func(c *store.Config) { c.BatchByClient = true })
	check := func(t *testing.T, wantShared bool, run func(ctx context.Context, s *store.Store, w *planFixture) error) {
		t.Helper()
		wire.take(t)
		if err := run(t.Context(), s, w); err != nil {
			t.Fatal(err)
		}
		shared := false
		for _, p := range wire.take(t) {
			shared = shared || strings.Contains(p.sql, "patch_number")
			if strings.Contains(own, p.sql) || strings.Contains(p.sql, `ONLY "public".`) {
				continue // sent by a trigger, or by a foreign key: see TestCitusAcceptsTheSchema
			}
			if err := store.SingleShard(p.sql); err != nil {
				t.Errorf("%v\n%s", err, p.sql)
			}
		}
		if wantShared && !shared {
			t.Error("the patches have shared no statement")
		}
	}
	t.Run("patches of many clients at once", func(t *testing.T) { check(t, true, patchManyClients) })
	methods := reflect.TypeFor[*store.Store]()
	for i := range methods.NumMethod() {
		name := methods.Method(i).Name
		if manyShards[name] != "" {
			continue
		}
		for n, c := range planCases[name] {
			t.Run(fmt.Sprintf("%s/%d %s", name, n, c.name), func(t *testing.T) { check(t, c.batch, c.run) })
		}
	}
}

// patchManyClients has more patches wait than there are writers.
func patchManyClients(ctx context.Context, s *store.Store, _ *planFixture) error {
	var wg sync.WaitGroup
	errs := make(chan error, 400)
	data := planData()
	for _, a := range data.Apps[:cap(errs)] {
		wg.Go(func() {
			key := store.AppKey{ClientID: a.ClientID, ID: a.ID}
			_, err := s.UpdateApp(ctx, key, store.Fields{store.ColumnIsFavorite: !a.IsFavorite}, planActor, nil)
			errs <- err
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
