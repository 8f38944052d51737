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

// TestSchemaChangesUnderPreparedPlans alters every table between requests. Connections of the pool have prepared statements whose plans
// PostgreSQL refuses then. No request fails.
func TestSchemaChangesUnderPreparedPlans(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	s := openSeeded(t, url, catalogData())
	db := storetest.SQL(t, url)
	for round, change := range []string{
		"ANALYZE %s", // statements are prepared
		"ALTER TABLE %s DROP COLUMN IF EXISTS extra, ADD COLUMN extra text",
		"ALTER TABLE %s ALTER COLUMN extra TYPE integer USING 0, ALTER COLUMN extra SET DEFAULT 1",
		"ALTER TABLE %s DROP COLUMN IF EXISTS extra",
	} {
		for what, request := range requestsOfEveryKind(round) {
			tx := must(db.BeginTx(t.Context(), nil))(t) // as a migration
			for _, table := range []string{
				"apps", "app_changes", "clients", "catalog_apps", "catalog_vendors", "catalog_categories", "catalog_app_categories",
				"catalog_state", "catalog_revisions", "catalog_changes", "tokens", "token_clients",
			} {
				must(tx.ExecContext(t.Context(), fmt.Sprintf(change, table)))(t)
			}
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
			if err := request(t.Context(), s); err != nil {
				t.Errorf("%s after %s: %v", what, change, err)
			}
		}
	}
}

// requestsOfEveryKind returns a request of each kind. The requests of each round write other values.
func requestsOfEveryKind(round int) map[string]func(context.Context, *store.Store) error {
	one := func(i int) store.Fields { return store.Fields{store.ColumnLicenseCount: int32(i)} }
	name := func(column store.Column) store.Fields { return store.Fields{column: fmt.Sprintf("Name %d", round)} }
	return map[string]func(context.Context, *store.Store) error{
		"get": func(ctx context.Context, s *store.Store) error { _, err := s.GetApp(ctx, pageApp); return err },
		"client": func(ctx context.Context, s *store.Store) error {
			_, err := s.GetClient(ctx, storetest.ClientID)
			return err
		},
		"list": func(ctx context.Context, s *store.Store) error {
			_, err := s.ListApps(ctx, storetest.ClientID, store.AppFilter{Query: "a"}, fullPage(store.ColumnUpdatedAt))
			return err
		},
		"changes": func(ctx context.Context, s *store.Store) error {
			_, err := s.ListAppChanges(ctx, pageApp, store.Page{Size: 5})
			return err
		},
		"catalog": func(ctx context.Context, s *store.Store) error {
			_, err := s.ListCatalogApps(ctx, store.CatalogFilter{}, fullPage(store.ColumnCanonicalName))
			return err
		},
		"tokens": func(ctx context.Context, s *store.Store) error { _, err := s.AllTokens(ctx); return err },
		"patch": func(ctx context.Context, s *store.Store) error {
			_, err := s.UpdateApp(ctx, pageApp, one(1000+round), alice, nil)
			return err
		},
		"patch with If-Match": func(ctx context.Context, s *store.Store) error {
			seen, err := s.GetApp(ctx, pageApp)
			if err == nil {
				_, err = s.UpdateApp(ctx, pageApp, one(2000+round), alice, &store.IfMatch{Tags: []string{seen.ETag()}})
			}
			return err
		},
		"patches together": func(ctx context.Context, s *store.Store) error { return patchConcurrently(ctx, s, 3000+round) },
		"bulk": func(ctx context.Context, s *store.Store) error {
			_, err := bulkSet(ctx, s, storetest.ClientID, []uuid.UUID{pageApp.ID}, store.ColumnIsApproved, round%2 == 0, alice)
			return err
		},
		"create client": func(ctx context.Context, s *store.Store) error {
			_, err := s.CreateClient(ctx, uuid.New(), "New", alice)
			return err
		},
		"rename client": func(ctx context.Context, s *store.Store) error {
			_, err := s.UpdateClient(ctx, storetest.OtherClientID, name(store.ColumnName), alice, nil)
			return err
		},
		"rename vendor": func(ctx context.Context, s *store.Store) error {
			_, err := s.UpdateVendor(ctx, storetest.VendorID, name(store.ColumnName), alice, nil)
			return err
		},
		"rename catalog app": func(ctx context.Context, s *store.Store) error {
			_, err := s.UpdateCatalogApp(ctx, storetest.CatalogID, name(store.ColumnCanonicalName), nil, alice, nil)
			return err
		},
		"ready": func(ctx context.Context, s *store.Store) error { return s.Ready(ctx) },
	}
}

// patchConcurrently patches two apps from so many callers that some of their patches share a transaction.
func patchConcurrently(ctx context.Context, s *store.Store, from int) error {
	errs := make(chan error, 40)
	var wg sync.WaitGroup
	for i := range cap(errs) {
		wg.Go(func() {
			key := pageApp
			if i%2 == 0 {
				key = store.AppKey{ClientID: storetest.OtherClientID, ID: storetest.OtherAppID}
			}
			_, err := s.UpdateApp(ctx, key, store.Fields{store.ColumnLicenseCount: int32(100*from + i)}, alice, nil)
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
