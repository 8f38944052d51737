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

// manyShards are the methods that may need more than one shard, with the reason.
var manyShards = map[string]string{
	"ListChanges":           "there is no feed on a distributed database",
	"ListAllChanges":        "there is no feed on a distributed database",
	"PruneHistory":          "there is no feed on a distributed database",
	"ListCatalogChanges":    "there is no feed on a distributed database",
	"ListWebhooks":          "webhooks need the feed",
	"GetWebhook":            "webhooks need the feed",
	"CreateWebhook":         "webhooks need the feed",
	"UpdateWebhook":         "webhooks need the feed",
	"DeleteWebhook":         "webhooks need the feed",
	"RotateWebhookSecret":   "webhooks need the feed",
	"ReplayWebhook":         "webhooks need the feed",
	"BeginWebhookTest":      "webhooks need the feed",
	"RecordWebhookTest":     "webhooks need the feed",
	"ListWebhookDeliveries": "webhooks need the feed",
	"MarkWebhooks":          "webhooks need the feed",
	"ClaimWebhooks":         "webhooks need the feed",
	"ReadWebhook":           "webhooks need the feed",
	"KeepWebhookBatch":      "webhooks need the feed",
	"FinishWebhookAttempt":  "webhooks need the feed",
	"ReleaseWebhook":        "webhooks need the feed",
	"CreateToken":           "the clients that a token covers are looked up on all their shards",
	"ListClients":           "the list of clients is read from all shards, without a transaction",
	"AllClients":            "the command prints all clients",
	"UpdateCatalogApp":      "a new name goes to the apps of all clients that have it, and the catalog is on every shard anyway",
}

// fewClients have apps in the fixture: no plan depends on how many.
const fewClients = 20

// TestStatementsAreOfOneShard calls every method. No statement on distributed tables needs more than one shard.
func TestStatementsAreOfOneShard(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	f := newPlanFixture(t, url, fewClients)
	functions := queryOne[string](t, storetest.SQL(t, url), "SELECT string_agg(replace(prosrc, 'PERFORM', 'SELECT'), ' ') FROM pg_proc "+
		"WHERE pronamespace = 'public'::regnamespace")
	proxy := &planProxy{}
	s := openWithoutPolling(t, proxy.listen(t, url, "auto"), func(c *store.Config) { c.BatchByClient = true })
	check := func(t *testing.T, run func(ctx context.Context, s *store.Store, f *planFixture) error) {
		t.Helper()
		proxy.take(t)
		if err := run(t.Context(), s, f); err != nil {
			t.Fatal(err)
		}
		for _, p := range proxy.take(t) {
			if strings.Contains(p.sql, "deleting_since IS NOT NULL") {
				continue // every store looks for clients that are being deleted, in the background
			}
			if strings.Contains(functions, p.sql) || strings.Contains(p.sql, `ONLY "public".`) {
				continue // sent by a trigger, or by a foreign key: see TestCitusAcceptsTheSchema
			}
			if err := store.SingleShard(p.sql); err != nil {
				t.Errorf("%v\n%s", err, p.sql)
			}
		}
	}
	t.Run("patches of many clients at once", func(t *testing.T) { check(t, patchManyClients) })
	t.Run("reads of many clients at once", func(t *testing.T) {
		check(t, func(ctx context.Context, s *store.Store, _ *planFixture) error {
			var keys []store.AppKey
			for _, a := range planData(fewClients).Apps[:400] {
				keys = append(keys, store.AppKey{ClientID: a.ClientID, ID: a.ID})
			}
			return readAtOnce(ctx, s, keys)
		})
	})
	methods := reflect.TypeFor[*store.Store]()
	for i := range methods.NumMethod() {
		name := methods.Method(i).Name
		if manyShards[name] != "" {
			continue
		}
		for n, c := range planCases[name] {
			t.Run(fmt.Sprintf("%s/%d %s", name, n, c.name), func(t *testing.T) { check(t, c.run) })
		}
	}
}

// patchManyClients sends more patches at once than there are writers.
func patchManyClients(ctx context.Context, s *store.Store, _ *planFixture) error {
	var wg sync.WaitGroup
	errs := make(chan error, 400)
	data := planData(fewClients)
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
