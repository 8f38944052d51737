package store_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// TestNothingIsLeftOnAConnection checks that the store leaves no session state on a connection and relies on none, because a pooler may
// give the connection to another server after each transaction.
func TestNothingIsLeftOnAConnection(t *testing.T) {
	t.Parallel()
	url := storetest.EmptyPostgres(t)
	s := storetest.Open(t, url, func(c *store.Config) { c.MaxConns = 1 })
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	patchAtOnce(t, s, seedApps(t, s, 40))
	importTwice(t, s, storetest.ClientID, 30)
	for what, query := range map[string]string{
		"temporary tables": "SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relkind = 'r'",
		"locks":            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
		"settings":         "SELECT count(*) FROM pg_settings WHERE source = 'session'",
		"channels":         "SELECT count(*) FROM pg_listening_channels()",
		"cursors":          "SELECT count(*) FROM pg_cursors WHERE is_holdable",
	} {
		var n int
		if err := store.Write(s).Raw(query).Scan(&n).Error; err != nil || n != 0 {
			t.Errorf("%s on the connection: %d, %v", what, n, err)
		}
	}
	if list := must(s.ListApps(t.Context(), storetest.ClientID, store.AppFilter{}, fullPage(store.ColumnCanonicalName)))(t); list.Total != 39+30 {
		t.Errorf("%d apps, want the seeded and the imported ones", list.Total)
	}
}

// TestMigrationsLetGo migrates with several servers while others use the connections of a pooler. Each releases the lock that it took.
func TestMigrationsLetGo(t *testing.T) {
	t.Parallel()
	url := storetest.EmptyPostgres(t)
	ctx, cancel := context.WithCancel(t.Context())
	s := storetest.Open(t, url)
	var readers, servers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for ctx.Err() == nil {
				if _, _, err := s.SchemaVersion(ctx); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	for range 4 {
		servers.Go(func() {
			if err := storetest.Open(t, url).Migrate(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	servers.Wait()
	const locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
	if n := queryOne[int](t, storetest.SQL(t, url), locks); n != 0 {
		t.Errorf("%d locks are still held", n)
	}
	cancel()
	readers.Wait()
}

// patchAtOnce has patches share transactions, with texts that an array literal must quote, and sets all apps of a client.
func patchAtOnce(t *testing.T, s *store.Store, keys []store.AppKey) {
	t.Helper()
	by := store.Actor{ID: uuid.New(), Name: `a "name", {with} \ what arrays quote`, RequestID: "NULL"}
	var wg sync.WaitGroup
	for n, key := range keys {
		wg.Go(func() {
			fields := store.Fields{store.ColumnLicenseCount: int32(n), store.ColumnIsFavorite: true}
			app, err := s.UpdateApp(t.Context(), key, fields, by, nil)
			if err != nil || app.LicenseCount == nil || int(*app.LicenseCount) != n || !app.IsFavorite {
				t.Errorf("%v: %+v, %v", key, app, err)
			}
		})
	}
	wg.Wait()
	var ids []uuid.UUID
	for _, key := range keys {
		ids = append(ids, key.ID)
		if c := history(t, s, key)[0]; c.ActorID != by.ID || c.ActorName != by.Name || c.RequestID != by.RequestID {
			t.Errorf("the history has %+v, want %+v", c, by)
		}
	}
	must(bulkSet(t.Context(), s, storetest.ClientID, ids, store.ColumnIsApproved, true, alice))(t)
}

// importTwice imports catalog apps and the client's apps of them. The second time it creates nothing.
func importTwice(t *testing.T, s *store.Store, client uuid.UUID, n int) {
	t.Helper()
	var catalog []store.CatalogRow
	var apps []store.AppRow
	for i := range n {
		name := fmt.Sprintf("Imported %d", i)
		catalog = append(catalog, store.CatalogRow{Fields: store.Fields{store.ColumnCanonicalName: name}})
		apps = append(apps, store.AppRow{Name: name})
	}
	for _, created := range []int{n, 0} {
		if got := must(s.ImportCatalog(t.Context(), catalogRows(catalog...), alice, store.ImportOptions{}))(t); got.Created != created {
			t.Errorf("catalog: %+v, want %d", got, created)
		}
		if got := must(s.ImportApps(t.Context(), client, appRows(apps...), alice, store.ImportOptions{}))(t); got.Created != created {
			t.Errorf("apps: %+v, want %d", got, created)
		}
	}
}
