package store

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store/fold"
	"github.com/clientapps/clientapps/store/keyset"
)

// CatalogFilter selects catalog apps. The zero value selects all of them; what is set combines with AND.
type CatalogFilter struct {
	Query      string // part of the name
	CategoryID *uuid.UUID
	VendorID   *uuid.UUID
	Type       *string
}

// match returns what tells whether an entry is selected; nil when every one is.
func (f CatalogFilter) match() func(*CatalogApp) bool {
	if f == (CatalogFilter{}) {
		return nil
	}
	part := fold.Name(f.Query)
	return func(a *CatalogApp) bool {
		return strings.Contains(a.NameKey, part) &&
			(f.VendorID == nil || a.VendorID != nil && *a.VendorID == *f.VendorID) &&
			(f.Type == nil || a.Type != nil && *a.Type == *f.Type) &&
			(f.CategoryID == nil || slices.ContainsFunc(a.Categories, func(c Category) bool { return c.ID == *f.CategoryID }))
	}
}

var catalogListing = listing[*CatalogApp]{
	Keys: map[Column]sortKey[*CatalogApp]{
		ColumnCanonicalName: keyset.TextKey("name_key", func(a *CatalogApp) string { return a.NameKey }),
		ColumnCreatedAt:     keyset.TimeKey("created_at", func(a *CatalogApp) time.Time { return a.CreatedAt }),
		ColumnUpdatedAt:     keyset.TimeKey("updated_at", func(a *CatalogApp) time.Time { return a.UpdatedAt }),
	},
	Tie:  "id",
	Of:   func(a *CatalogApp) string { return a.ID.String() },
	Tied: keyset.IsID,
}

// ListCatalogApps returns one page of the catalog, out of the snapshot once that is as new as the database.
func (s *Store) ListCatalogApps(ctx context.Context, f CatalogFilter, p Page) (List[*CatalogApp], error) {
	catalog, err := s.refreshCatalog(ctx)
	if err != nil {
		return List[*CatalogApp]{}, err
	}
	return tagged(catalogListing, catalog.byApp, p, f.match())
}

// tagged picks a page of a snapshot, with its tag.
func tagged[T catalogRow](l listing[T], orders map[Column][]T, p Page, match func(T) bool) (List[T], error) {
	list, err := l.Pick(orders, p, match)
	if err == nil {
		list.ETag = pageTag(list)
	}
	return list, err
}

// fewEntries is up to how many catalog apps are looked up one by one among those of a client. Of more than these, a page
// is full before the client's apps have been read in order for as long as the look-ups would take.
const fewEntries = 200

// few returns the ids of the entries that the filter selects; ok is false when they are too many to look up.
func (c *Catalog) few(f CatalogFilter) (ids []uuid.UUID, ok bool) {
	match := f.match()
	for _, a := range c.all() {
		if !match(a) {
			continue
		}
		if len(ids) == fewEntries {
			return nil, false
		}
		ids = append(ids, a.ID)
	}
	return ids, true
}
