package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/clientapps/clientapps/store"
)

// planAppWrites writes apps of a client.
var planAppWrites = map[string][]planCase{
	"UpdateApp": {
		{run: func(ctx context.Context, s *store.Store, w *planFixture) error {
			return patchNew(ctx, s, w, w.anApp(), nil)
		}},
		{name: "in vain", run: func(ctx context.Context, s *store.Store, w *planFixture) error {
			app, err := s.GetApp(ctx, w.apps[0])
			return errors.Join(err, onlyErr(s.UpdateApp(ctx, w.apps[0], store.Fields{store.ColumnIsFavorite: app.IsFavorite}, planActor, nil)))
		}},
		{name: "conditional", run: func(ctx context.Context, s *store.Store, w *planFixture) error {
			key := w.anApp()
			app, err := s.GetApp(ctx, key)
			return errors.Join(err, patchNew(ctx, s, w, key, &store.IfMatch{Tags: []string{app.ETag()}}))
		}},
		{name: "many at once", shared: "patch_number", run: func(ctx context.Context, s *store.Store, w *planFixture) error {
			errs := make([]error, 40)
			var running sync.WaitGroup
			for n := range errs {
				key, fields := w.apps[n], store.Fields{store.ColumnLicenseCount: int32(w.serial + n)}
				running.Go(func() { errs[n] = onlyErr(s.UpdateApp(ctx, key, fields, planActor, nil)) })
			}
			running.Wait()
			w.serial += len(errs)
			return errors.Join(errs...)
		}},
	},
	// As many as the request names are locked in the order of their ids.
	"UpdateApps": {
		{sorts: 100, run: func(ctx context.Context, s *store.Store, w *planFixture) error { return w.updateApps(ctx, s, false) }},
		{name: "atomic", sorts: 100, run: func(ctx context.Context, s *store.Store, w *planFixture) error { return w.updateApps(ctx, s, true) }},
	},
	"AddApp": {
		{run: func(ctx context.Context, s *store.Store, w *planFixture) error {
			return onlyErr(s.AddApp(ctx, w.client, w.aFree(), store.Fields{store.ColumnIsFavorite: true}, planActor))
		}},
		{name: "that is there", run: func(ctx context.Context, s *store.Store, w *planFixture) error {
			app, err := s.GetApp(ctx, w.apps[0])
			if err != nil {
				return err
			}
			have := (*store.ConflictError)(nil)
			if _, err := s.AddApp(ctx, w.client, app.CatalogAppID, nil, planActor); !errors.As(err, &have) {
				return fmt.Errorf("error is %w, want ConflictError", err)
			}
			return nil
		}},
	},
	"RemoveApp": {
		{run: func(ctx context.Context, s *store.Store, w *planFixture) error {
			return s.RemoveApp(ctx, w.anApp(), planActor, nil)
		}},
		{name: "conditional", run: func(ctx context.Context, s *store.Store, w *planFixture) error {
			key := w.anApp()
			app, err := s.GetApp(ctx, key)
			return errors.Join(err, s.RemoveApp(ctx, key, planActor, &store.IfMatch{Tags: []string{app.ETag()}}))
		}},
	},
	// The rows of the file are sorted to find names that are there twice, and the client's apps to lock them all in order.
	"ImportApps": {{sorts: planEntries, run: func(ctx context.Context, s *store.Store, w *planFixture) error {
		var rows []store.AppRow
		for range 120 {
			w.serial++
			rows = append(rows, store.AppRow{
				Name: w.owned[w.serial%len(w.owned)], Fields: store.Fields{store.ColumnLicenseCount: int32(w.serial)},
			})
		}
		return onlyErr(s.ImportApps(ctx, w.client, appRows(rows...), planActor, store.ImportOptions{}))
	}}},
	"Seed": {{everyClient: "apps refer to catalog apps", run: func(ctx context.Context, s *store.Store, w *planFixture) error {
		name := w.next("Seeded")
		return s.Seed(ctx, store.Dataset{
			Clients: []store.Client{client(name)}, CatalogApps: []store.CatalogApp{catalogApp(name)}, Apps: []store.App{app(name, name)},
		})
	}}},
}

// patchNew patches an app with a value that it does not have.
func patchNew(ctx context.Context, s *store.Store, w *planFixture, key store.AppKey, match *store.IfMatch) error {
	w.serial++
	return onlyErr(s.UpdateApp(ctx, key, store.Fields{store.ColumnLicenseCount: int32(w.serial)}, planActor, match))
}

// updateApps changes a hundred apps.
func (w *planFixture) updateApps(ctx context.Context, s *store.Store, atomic bool) error {
	var updates []store.AppUpdate
	w.serial++
	for i, key := range w.apps[:100] {
		fields := store.Fields{store.ColumnIsApproved: w.serial%2 == 0, store.ColumnLicenseCount: int32(i)}
		updates = append(updates, store.AppUpdate{ID: key.ID, Fields: fields})
	}
	return onlyErr(s.UpdateApps(ctx, w.client, updates, atomic, planActor))
}
