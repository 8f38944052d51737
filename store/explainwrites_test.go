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
		{run: func(ctx context.Context, s *store.Store, f *planFixture) error {
			return patchNew(ctx, s, f, f.anApp(), nil)
		}},
		{name: "in vain", run: func(ctx context.Context, s *store.Store, f *planFixture) error {
			app, err := s.GetApp(ctx, f.apps[0])
			return errors.Join(err, onlyErr(s.UpdateApp(ctx, f.apps[0], store.Fields{store.ColumnIsFavorite: app.IsFavorite}, planActor, nil)))
		}},
		{name: "conditional", run: func(ctx context.Context, s *store.Store, f *planFixture) error {
			key := f.anApp()
			app, err := s.GetApp(ctx, key)
			return errors.Join(err, patchNew(ctx, s, f, key, &store.IfMatch{Tags: []string{app.ETag()}}))
		}},
		{name: "many at once", shared: "patch_number", run: func(ctx context.Context, s *store.Store, f *planFixture) error {
			errs := make([]error, 40)
			var running sync.WaitGroup
			for n := range errs {
				key, fields := f.apps[n], store.Fields{store.ColumnLicenseCount: int32(f.serial + n)}
				running.Go(func() { errs[n] = onlyErr(s.UpdateApp(ctx, key, fields, planActor, nil)) })
			}
			running.Wait()
			f.serial += len(errs)
			return errors.Join(errs...)
		}},
	},
	// As many as the request names are locked in the order of their ids.
	"UpdateApps": {
		{sorts: 100, run: func(ctx context.Context, s *store.Store, f *planFixture) error { return f.updateApps(ctx, s, false) }},
		{name: "atomic", sorts: 100, run: func(ctx context.Context, s *store.Store, f *planFixture) error { return f.updateApps(ctx, s, true) }},
	},
	"AddApp": {
		{run: func(ctx context.Context, s *store.Store, f *planFixture) error {
			return onlyErr(s.AddApp(ctx, f.client, f.aFree(), store.Fields{store.ColumnIsFavorite: true}, planActor))
		}},
		{name: "that is there", run: func(ctx context.Context, s *store.Store, f *planFixture) error {
			app, err := s.GetApp(ctx, f.apps[0])
			if err != nil {
				return err
			}
			have := (*store.ConflictError)(nil)
			if _, err := s.AddApp(ctx, f.client, app.CatalogAppID, nil, planActor); !errors.As(err, &have) {
				return fmt.Errorf("error is %w, want ConflictError", err)
			}
			return nil
		}},
	},
	"RemoveApp": {
		{run: func(ctx context.Context, s *store.Store, f *planFixture) error {
			return s.RemoveApp(ctx, f.anApp(), planActor, nil)
		}},
		{name: "conditional", run: func(ctx context.Context, s *store.Store, f *planFixture) error {
			key := f.anApp()
			app, err := s.GetApp(ctx, key)
			return errors.Join(err, s.RemoveApp(ctx, key, planActor, &store.IfMatch{Tags: []string{app.ETag()}}))
		}},
	},
	// The rows of the file are sorted to find names that are there twice, and the client's apps to lock them all in order.
	"ImportApps": {{sorts: planEntries, run: func(ctx context.Context, s *store.Store, f *planFixture) error {
		var rows []store.AppRow
		for range 120 {
			f.serial++
			rows = append(rows, store.AppRow{
				Name: f.owned[f.serial%len(f.owned)], Fields: store.Fields{store.ColumnLicenseCount: int32(f.serial)},
			})
		}
		return onlyErr(s.ImportApps(ctx, f.client, appRows(rows...), planActor, store.ImportOptions{}))
	}}},
	"Seed": {{everyClient: "apps refer to catalog apps", run: func(ctx context.Context, s *store.Store, f *planFixture) error {
		name := f.next("Seeded")
		return s.Seed(ctx, store.Dataset{
			Clients: []store.Client{client(name)}, CatalogApps: []store.CatalogApp{catalogApp(name)}, Apps: []store.App{app(name, name)},
		})
	}}},
}

// patchNew patches an app with a value that it does not have.
func patchNew(ctx context.Context, s *store.Store, f *planFixture, key store.AppKey, match *store.IfMatch) error {
	f.serial++
	return onlyErr(s.UpdateApp(ctx, key, store.Fields{store.ColumnLicenseCount: int32(f.serial)}, planActor, match))
}

// updateApps changes a hundred apps.
func (f *planFixture) updateApps(ctx context.Context, s *store.Store, atomic bool) error {
	var updates []store.AppUpdate
	f.serial++
	for i, key := range f.apps[:100] {
		fields := store.Fields{store.ColumnIsApproved: f.serial%2 == 0, store.ColumnLicenseCount: int32(i)}
		updates = append(updates, store.AppUpdate{ID: key.ID, Fields: fields})
	}
	return onlyErr(s.UpdateApps(ctx, f.client, updates, atomic, planActor))
}
