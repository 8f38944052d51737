package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/clientapps/clientapps/store/casefold"
	"github.com/clientapps/clientapps/store/keyset"
)

// AppFilter selects apps of a client. The zero value selects all of them; what is set combines with AND.
type AppFilter struct {
	Query      string // part of the name
	CategoryID *uuid.UUID
	VendorID   *uuid.UUID
	Type       *string
	IsFavorite *bool
	IsApproved *bool
}

// No index serves the order by updated_at: it would cost each patch more than such a list costs. The client's apps are
// read and the first of them kept.
var appListing = listing[App]{
	Keys: map[Column]sortKey[App]{
		ColumnCanonicalName: keyset.TextKey("name_key", func(a App) string { return a.NameKey }),
		ColumnCreatedAt:     keyset.TimeKey("created_at", func(a App) time.Time { return a.CreatedAt }),
		ColumnUpdatedAt:     keyset.TimeKey("updated_at", func(a App) time.Time { return a.UpdatedAt }),
	},
	Tie:  "id",
	Of:   func(a App) string { return a.ID.String() },
	Tied: keyset.IsID,
}

// ListApps returns one page of a client's apps, or NotFoundError for the client.
func (s *Store) ListApps(ctx context.Context, clientID uuid.UUID, f AppFilter, p Page) (List[App], error) {
	if err := s.checkNotDeleting(ctx, clientID); err != nil {
		return List[App]{}, err
	}
	list, err := s.listApps(ctx, clientID, f, p)
	if errors.Is(err, errNoEntry) {
		list, err = s.listApps(ctx, clientID, f, p) // an app has been removed since it was read
	}
	return list, err
}

func (s *Store) listApps(ctx context.Context, clientID uuid.UUID, f AppFilter, p Page) (List[App], error) {
	q := s.tenant(ctx, clientID)
	if f.IsFavorite != nil {
		q = q.Where("is_favorite = ?", *f.IsFavorite)
	}
	if f.IsApproved != nil {
		q = q.Where("is_approved = ?", *f.IsApproved)
	}
	q, err := s.ofCatalog(ctx, q, clientID, CatalogFilter{f.Query, f.CategoryID, f.VendorID, f.Type})
	if err != nil {
		return List[App]{}, err
	}
	var total func() (int64, error)
	var known *int64
	if f == (AppFilter{}) {
		known = new(int64(-1))
		total = func() (int64, error) {
			if *known >= 0 {
				return *known, nil
			}
			return s.countApps(ctx, clientID)
		}
	}
	listing := appListing
	listing.Find = func(q *gorm.DB, apps *[]App) error { return s.apps.find(clientID, q, apps, known) }
	list, err := listing.Page(ctx, q, p, total)
	if err != nil {
		return List[App]{}, s.translate("list apps", err)
	}
	if list.Total == 0 {
		if _, err := s.GetClient(ctx, clientID); err != nil {
			return List[App]{}, err
		}
	}
	for i := range list.Rows {
		if list.Rows[i], err = s.withCatalog(ctx, list.Rows[i]); err != nil {
			return List[App]{}, err
		}
	}
	return list, nil
}

// ofCatalog keeps the apps whose catalog app is selected. The few that a search usually finds are found in the snapshot,
// once that is as new as the database, and looked up by an index; when there are many, the database filters the client's
// apps as it reads them in order.
func (s *Store) ofCatalog(ctx context.Context, q *gorm.DB, clientID uuid.UUID, f CatalogFilter) (*gorm.DB, error) {
	if f == (CatalogFilter{}) {
		return q, nil
	}
	catalog, err := s.refreshCatalog(ctx)
	if err != nil {
		return nil, err
	}
	if ids, ok := catalog.few(f); ok {
		// The limit, which no client reaches, keeps what follows from leading the planner to another index.
		these := whereIn(s.tenant(ctx, clientID).Model(&App{}), "catalog_app_id", ids).Limit(fewEntries)
		return q.Table("(?) AS these", these), nil
	}
	// Not as a list of ids, which SQLite would look up, all of them, rather than read apps in order.
	const has = "EXISTS (SELECT 1 FROM catalog_apps AS c WHERE c.id = apps.catalog_app_id AND "
	q = s.contains(q, f.Query)
	if f.VendorID != nil {
		q = q.Where(has+"c.vendor_id = ?)", *f.VendorID)
	}
	if f.Type != nil {
		q = q.Where(has+"c.type = ?)", *f.Type)
	}
	if f.CategoryID != nil {
		q = q.Where("EXISTS (SELECT 1 FROM catalog_app_categories AS c "+
			"WHERE c.catalog_app_id = apps.catalog_app_id AND c.category_id = ?)", *f.CategoryID)
	}
	return q, nil
}

// sumTotal adds up what triggers have counted.
const sumTotal = "CAST(coalesce(sum(total), 0) AS bigint)"

// countApps is how many apps a client has, as triggers have counted them.
func (s *Store) countApps(ctx context.Context, clientID uuid.UUID) (apps int64, err error) {
	err = s.retryInRLS(ctx, func() error {
		return s.tenant(ctx, clientID).Table("client_app_counts").Select(sumTotal).Take(&apps).Error
	})
	return apps, err
}

// retryInRLS retries a read that the pool does not retry, because row-level security runs it in a transaction.
func (s *Store) retryInRLS(ctx context.Context, do func() error) error {
	if !s.rls {
		return do()
	}
	return s.retry(ctx, do)
}

// contains selects rows whose folded name has the text in it, literally and without regard to case.
func (s *Store) contains(q *gorm.DB, text string) *gorm.DB {
	if text == "" {
		return q
	}
	return q.Where(s.db.Position()+"(name_key, ?) > 0", casefold.Name(text))
}
