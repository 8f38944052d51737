package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/clientapps/clientapps/store/tenant"
)

// exportPage is how many rows an export reads at once. exportMatcherChunk is of how many catalog apps it reads the URL patterns and
// desktop aliases at once: an app may have two thousand.
const (
	exportPage         = 500
	exportMatcherChunk = 100
)

// errExportStopped ends an export whose reader has enough.
var errExportStopped = errors.New("the reader has enough")

// ExportApps returns the client's apps that the filter selects, in the order of ListApps, all as they are at one moment. It reads them
// page by page while the caller ranges over them. Before the first row an error may be NotFoundError for the client; a later one means
// that the rows so far are not all. order.Size and order.After do not count.
func (s *Store) ExportApps(ctx context.Context, clientID uuid.UUID, f AppFilter, order Page) iter.Seq2[AppRow, error] {
	return exportRows(ctx, s, "export apps", func(ctx context.Context, tx *gorm.DB, emit func([]AppRow) error) error {
		if s.rls {
			if err := tenant.LimitTx(tx, clientID, s.db.Distributed()); err != nil {
				return err
			}
		}
		if _, err := takeClient(tx.Where("deleting_since IS NULL"), clientID); err != nil {
			return err
		}
		q := selectApps(tenant.Of(tx, clientID), f)
		q = s.filterByCatalogInSQL(q, CatalogFilter{f.Query, f.CategoryID, f.VendorID, f.Type})
		return eachPage(ctx, appListing, q, order, func(apps []App) error {
			rows, err := exportAppRows(tx, apps)
			if err != nil {
				return err
			}
			return emit(rows)
		})
	})
}

// ExportCatalog returns the catalog apps that the filter selects, in the order of ListCatalogApps. It is otherwise as ExportApps.
func (s *Store) ExportCatalog(ctx context.Context, f CatalogFilter, order Page) iter.Seq2[CatalogRow, error] {
	return exportRows(ctx, s, "export catalog", func(ctx context.Context, tx *gorm.DB, emit func([]CatalogRow) error) error {
		q := s.contains(tx, f.Query)
		if f.VendorID != nil {
			q = q.Where("vendor_id = ?", *f.VendorID)
		}
		if f.Type != nil {
			q = q.Where("type = ?", *f.Type)
		}
		if f.CategoryID != nil {
			q = q.Where("EXISTS (SELECT 1 FROM catalog_app_categories AS c "+
				"WHERE c.catalog_app_id = catalog_apps.id AND c.category_id = ?)", *f.CategoryID)
		}
		return eachPage(ctx, catalogListing, q, order, func(apps []*CatalogApp) error {
			if err := loadVendorsAndCategories(tx, apps); err != nil {
				return err
			}
			for some := range slices.Chunk(apps, exportMatcherChunk) {
				rows, err := exportCatalogRows(tx, some)
				if err != nil {
					return err
				}
				if err := emit(rows); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// exportRows runs read, which emits rows, in a snapshot. Until the first rows are there, the store's timeout applies and a failure is
// retried; after that neither is so. An export holds a connection for as long as its reader likes: therefore exports have a share of the
// connections.
func exportRows[T any](
	ctx context.Context, s *Store, doing string, read func(ctx context.Context, tx *gorm.DB, emit func([]T) error) error,
) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		release, err := s.acquireExport(ctx)
		if err != nil {
			yield(*new(T), s.translate(doing, err))
			return
		}
		defer release()
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		timer := time.AfterFunc(s.timeout, func() { cancel(context.DeadlineExceeded) })
		defer timer.Stop()
		var started bool
		var failed error // after the first rows, when nothing is retried
		emit := func(rows []T) error {
			started = true
			timer.Stop()
			for _, row := range rows {
				if !yield(row, nil) {
					return errExportStopped
				}
			}
			return nil
		}
		err = s.retryRead(ctx, func() error {
			err := s.reader.WithContext(ctx).Transaction(func(tx *gorm.DB) error { return read(ctx, tx, emit) }, snapshotOptions)
			if started {
				failed, err = err, nil
			}
			return err
		})
		err = cmp.Or(failed, err)
		if err != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			err = &UnavailableError{cause: errors.Join(context.DeadlineExceeded, err)}
		}
		if err != nil && !errors.Is(err, errExportStopped) {
			yield(*new(T), s.translate(doing, err))
		}
	}
}

// acquireExport waits for a connection of the share of exports. On SQLite, whose readers do not take connections from writers, it does
// not wait.
func (s *Store) acquireExport(ctx context.Context) (release func(), err error) {
	if s.reader != s.writer {
		return func() {}, nil
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.acquire(ctx, exportShare)
}

// eachPage calls work with all rows that q selects, page by page.
func eachPage[T any](ctx context.Context, l listing[T], q *gorm.DB, order Page, work func([]T) error) error {
	order.Size, order.After = exportPage, nil
	for {
		list, err := l.Page(ctx, q, order, func() (int64, error) { return 0, nil })
		if err != nil {
			return err
		}
		if err := work(list.Rows); err != nil {
			return err
		}
		if order.After = list.Next; list.Next == nil {
			return nil
		}
	}
}

// exportAppRows returns apps by the names that their catalog apps have in the snapshot.
func exportAppRows(tx *gorm.DB, apps []App) ([]AppRow, error) {
	ids := make([]uuid.UUID, len(apps))
	for i, app := range apps {
		ids[i] = app.CatalogAppID
	}
	entries, err := byID[CatalogApp](tx.Select("id, canonical_name"), ids, func(a CatalogApp) uuid.UUID { return a.ID })
	if err != nil {
		return nil, err
	}
	rows := make([]AppRow, len(apps))
	for i, app := range apps {
		entry, ok := entries[app.CatalogAppID]
		if !ok {
			return nil, fmt.Errorf("app %s: %w", app.ID, errNoEntry)
		}
		rows[i] = AppRow{Name: entry.CanonicalName, Fields: app.fields()}
	}
	return rows, nil
}

// loadVendorsAndCategories reads the vendors and the categories of catalog apps.
func loadVendorsAndCategories(tx *gorm.DB, apps []*CatalogApp) error {
	var ids, vendorIDs, categoryIDs []uuid.UUID
	for _, app := range apps {
		if ids = append(ids, app.ID); app.VendorID != nil {
			vendorIDs = append(vendorIDs, *app.VendorID)
		}
	}
	vendors, err := byID[Vendor](tx, vendorIDs, func(v Vendor) uuid.UUID { return v.ID })
	if err != nil {
		return err
	}
	var links []CatalogAppCategory
	if err := whereIn(tx, "catalog_app_id", ids).Find(&links).Error; err != nil {
		return err
	}
	of := map[uuid.UUID][]uuid.UUID{}
	for _, link := range links {
		of[link.CatalogAppID] = append(of[link.CatalogAppID], link.CategoryID)
		categoryIDs = append(categoryIDs, link.CategoryID)
	}
	categories, err := byID[Category](tx, categoryIDs, func(c Category) uuid.UUID { return c.ID })
	if err != nil {
		return err
	}
	for _, app := range apps {
		if app.VendorID != nil {
			app.Vendor = new(vendors[*app.VendorID])
		}
		for _, id := range of[app.ID] {
			app.Categories = append(app.Categories, categories[id])
		}
		slices.SortFunc(app.Categories, func(a, b Category) int { return cmp.Compare(a.NameKey, b.NameKey) })
	}
	return nil
}

// byID reads rows by their ids.
func byID[T any](tx *gorm.DB, ids []uuid.UUID, id func(T) uuid.UUID) (map[uuid.UUID]T, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	var rows []T
	err := whereIn(tx, "id", distinct(ids)).Find(&rows).Error
	found := make(map[uuid.UUID]T, len(rows))
	for _, row := range rows {
		found[id(row)] = row
	}
	return found, err
}

// exportCatalogRows returns catalog apps with their URL patterns and desktop aliases.
func exportCatalogRows(tx *gorm.DB, apps []*CatalogApp) ([]CatalogRow, error) {
	ids := make([]uuid.UUID, len(apps))
	for i, app := range apps {
		ids[i] = app.ID
	}
	patterns, err := matchersByApp[URLPattern](tx, ids)
	if err != nil {
		return nil, err
	}
	aliases, err := matchersByApp[DesktopAlias](tx, ids)
	if err != nil {
		return nil, err
	}
	rows := make([]CatalogRow, len(apps))
	for i, app := range apps {
		fields := app.fields()
		delete(fields, ColumnVendorID)
		row := CatalogRow{Fields: fields, Vendor: Fields{}, URLPatterns: patterns[app.ID], DesktopAliases: aliases[app.ID]}
		if app.Vendor != nil {
			row.Vendor = app.Vendor.fields()
		}
		for _, category := range app.Categories {
			row.Categories = append(row.Categories, category.Name)
		}
		rows[i] = row
	}
	return rows, nil
}

// matchersByApp returns the texts of catalog apps, each app's in the order of its list. Texts that differ only in case are in the order of
// their bytes, so that two databases agree.
func matchersByApp[T matcher](tx *gorm.DB, apps []uuid.UUID) (map[uuid.UUID][]string, error) {
	var rows []T
	if err := whereIn(tx, "catalog_app_id", apps).Find(&rows).Error; err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b T) int { return cmp.Or(cmp.Compare(a.key(), b.key()), cmp.Compare(a.text(), b.text())) })
	texts := map[uuid.UUID][]string{}
	for _, row := range rows {
		texts[row.app()] = append(texts[row.app()], row.text())
	}
	return texts, nil
}
