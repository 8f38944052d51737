package store_test

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// planOtherWrites writes what is not an app. The catalog is read whole after each change of it.
var planOtherWrites = map[string][]planCase{
	"CreateCatalogApp": {{everyClient: "apps refer to catalog apps", run: func(ctx context.Context, s *store.Store, f *planFixture) error {
		return onlyErr(s.CreateCatalogApp(ctx, store.Fields{
			store.ColumnCanonicalName: f.next("Made"), store.ColumnVendorID: idOf("Acme"),
		}, []uuid.UUID{idOf("Chat"), idOf("Mail")}, alice))
	}}},
	"UpdateCatalogApp": {{
		everyClient: "a new name goes to the apps of all clients that have it",
		run: func(ctx context.Context, s *store.Store, f *planFixture) error {
			return onlyErr(s.UpdateCatalogApp(ctx, idOf(f.names[1]), store.Fields{store.ColumnCanonicalName: f.next("Renamed")},
				&[]uuid.UUID{idOf([]string{"Chat", "Mail"}[f.serial%2])}, alice, nil))
		},
	}},
	"DeleteCatalogApp": {{
		everyClient: "no client may have it",
		run: func(ctx context.Context, s *store.Store, f *planFixture) error {
			entry, err := s.CreateCatalogApp(ctx, store.Fields{store.ColumnCanonicalName: f.next("Deleted")}, nil, alice)
			if err != nil {
				return err
			}
			return s.DeleteCatalogApp(ctx, entry.ID, alice, nil)
		},
	}},
	"CreateVendor": {{run: func(ctx context.Context, s *store.Store, f *planFixture) error {
		return onlyErr(s.CreateVendor(ctx, store.Fields{store.ColumnName: f.next("Made")}, alice))
	}}},
	"UpdateVendor": {{run: func(ctx context.Context, s *store.Store, f *planFixture) error {
		return onlyErr(s.UpdateVendor(ctx, idOf("Acme"), store.Fields{store.ColumnName: f.next("Acme")}, alice, nil))
	}}},
	"CreateCategory": {{run: func(ctx context.Context, s *store.Store, f *planFixture) error {
		return onlyErr(s.CreateCategory(ctx, store.Fields{store.ColumnName: f.next("Made")}, alice))
	}}},
	"UpdateCategory": {{run: func(ctx context.Context, s *store.Store, f *planFixture) error {
		return onlyErr(s.UpdateCategory(ctx, idOf("Chat"), store.Fields{store.ColumnName: f.next("Chat")}, alice, nil))
	}}},
	// The history has all texts of the catalog app in their order, of which there are at most a thousand.
	"ReplaceURLPatterns": {{sorts: 1000, run: func(ctx context.Context, s *store.Store, f *planFixture) error {
		return s.ReplaceURLPatterns(ctx, idOf(f.names[2]), []string{f.next("*"), f.next("*")}, alice, nil)
	}}},
	"ReplaceDesktopAliases": {{sorts: 1000, run: func(ctx context.Context, s *store.Store, f *planFixture) error {
		return s.ReplaceDesktopAliases(ctx, idOf(f.names[2]), []string{f.next("alias"), f.next("alias")}, alice, nil)
	}}},
	// The rows of the file are sorted to find names that are there twice, and each catalog app has 120 patterns.
	"ImportCatalog": {{sorts: 20_000, everyClient: "apps refer to catalog apps", run: func(ctx context.Context, s *store.Store, f *planFixture) error {
		return onlyErr(s.ImportCatalog(ctx, catalogRows(planMatchers(f)...), alice, store.ImportOptions{}))
	}}},
	"CreateClient": {{run: func(ctx context.Context, s *store.Store, f *planFixture) error {
		return onlyErr(s.CreateClient(ctx, uuid.New(), f.next("Made"), alice))
	}}},
	"UpdateClient": {{run: func(ctx context.Context, s *store.Store, f *planFixture) error {
		return onlyErr(s.UpdateClient(ctx, f.client, store.Fields{store.ColumnName: f.next("Renamed")}, alice, nil))
	}}},
	"DeleteVendor": {{run: func(ctx context.Context, s *store.Store, f *planFixture) error {
		made, err := s.CreateVendor(ctx, store.Fields{store.ColumnName: f.next("Deleted")}, alice)
		if err != nil {
			return err
		}
		return s.DeleteVendor(ctx, made.ID, alice, nil)
	}}},
	"DeleteCategory": {{run: func(ctx context.Context, s *store.Store, f *planFixture) error {
		made, err := s.CreateCategory(ctx, store.Fields{store.ColumnName: f.next("Deleted")}, alice)
		if err != nil {
			return err
		}
		return s.DeleteCategory(ctx, made.ID, alice, nil)
	}}},
	"DeleteClient": {{run: func(ctx context.Context, s *store.Store, f *planFixture) error {
		id := uuid.New()
		made, err := s.CreateClient(ctx, id, f.next("Deleted"), alice)
		if err != nil {
			return err
		}
		if _, err = s.UpdateClient(ctx, id, store.Fields{store.ColumnStatus: store.StatusSuspended}, alice, nil); err != nil {
			return err
		}
		return onlyErr(s.DeleteClient(ctx, made.ID, alice, nil))
	}}},
	"CreateToken": {{run: func(ctx context.Context, s *store.Store, f *planFixture) error {
		return onlyErr(s.CreateToken(ctx, nil, f.next("secret"), store.Token{Name: "made", ClientIDs: []uuid.UUID{f.client}}))
	}}},
	"RotateToken": {{run: func(ctx context.Context, s *store.Store, f *planFixture) error {
		token, err := s.CreateToken(ctx, nil, f.next("secret"), store.Token{Name: "rotated"})
		if err != nil {
			return err
		}
		return onlyErr(s.RotateToken(ctx, nil, token.ID, f.next("secret"), time.Hour))
	}}},
	"RevokeToken": {{run: func(ctx context.Context, s *store.Store, f *planFixture) error {
		token, err := s.CreateToken(ctx, nil, f.next("secret"), store.Token{Name: "revoked"})
		if err != nil {
			return err
		}
		return onlyErr(s.RevokeToken(ctx, nil, token.ID, false))
	}}},
	"Seed": {{everyClient: "apps refer to catalog apps", run: func(ctx context.Context, s *store.Store, f *planFixture) error {
		name := f.next("Seeded")
		mine := app(name, name)
		mine.CreatedAt = storetest.Now.Add(time.Hour)
		return s.Seed(ctx, store.Dataset{
			Clients: []store.Client{client(name)}, CatalogApps: []store.CatalogApp{catalogApp(name)}, Apps: []store.App{mine},
		})
	}}},
}

// planMatchers gives catalog apps more URL patterns and desktop aliases than a page has, and one of them another vendor.
func planMatchers(f *planFixture) []store.CatalogRow {
	var rows []store.CatalogRow
	for n := range 60 {
		row := catalogRow(f.names[n], nil)
		if n == 1 {
			row = catalogRow(f.next("Imported"), nil)
			row.Vendor, row.Categories = vendor(f.next("Imported")), []string{"Mail"}
		}
		for i := range 120 {
			row.URLPatterns = append(row.URLPatterns, fmt.Sprintf("https://%d.example.com/%d/*", i, n))
			row.DesktopAliases = append(row.DesktopAliases, fmt.Sprintf("alias %d", i))
		}
		if n == 3 {
			row.URLPatterns = append(row.URLPatterns, f.next("*"))
		}
		rows = append(rows, row)
	}
	return rows
}
