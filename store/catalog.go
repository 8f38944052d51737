package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// Catalog is the whole shared catalog as it was at one revision. It never changes: a change of the catalog swaps it.
type Catalog struct {
	revision int64
	apps     map[uuid.UUID]*CatalogApp
}

// catalogApp returns an entry of the snapshot. An app may refer to an entry that another server has just made: then the
// snapshot is refreshed first.
func (s *Store) catalogApp(ctx context.Context, id uuid.UUID) (*CatalogApp, error) {
	if snapshot := s.catalog.Load(); snapshot != nil {
		if entry := snapshot.apps[id]; entry != nil {
			return entry, nil
		}
	}
	fresh, err := s.refreshCatalog(ctx)
	if err != nil {
		return nil, err
	}
	entry := fresh.apps[id]
	if entry == nil {
		return nil, fmt.Errorf("catalog app %s is referred to and not there", id)
	}
	return entry, nil
}

// refreshCatalog replaces the snapshot if the database has a newer revision. After a transaction that changed the
// catalog it makes the change show on this server at once.
func (s *Store) refreshCatalog(ctx context.Context) (*Catalog, error) {
	s.loading.Lock()
	defer s.loading.Unlock()
	revision, err := s.catalogRevision(ctx)
	if err != nil {
		return nil, s.translate("load catalog", err)
	}
	if c := s.catalog.Load(); c != nil && c.revision == revision {
		return c, nil
	}
	fresh, err := s.readCatalog(ctx, revision)
	if err != nil {
		return nil, s.translate("load catalog", err)
	}
	s.catalog.Store(fresh)
	return fresh, nil
}

// readCatalog reads the tables of the catalog. The revision was read before them: what is written meanwhile belongs to a
// later one and is read again.
func (s *Store) readCatalog(ctx context.Context, revision int64) (*Catalog, error) {
	var (
		vendors    []*Vendor
		categories []Category
		apps       []*CatalogApp
		in         []CatalogAppCategory
	)
	for _, rows := range []any{&vendors, &categories, &apps, &in} {
		if err := s.read.WithContext(ctx).Find(rows).Error; err != nil {
			return nil, err
		}
	}
	vendorByID := make(map[uuid.UUID]*Vendor, len(vendors))
	for _, v := range vendors {
		vendorByID[v.ID] = v
	}
	categoryByID := make(map[uuid.UUID]Category, len(categories))
	for _, c := range categories {
		categoryByID[c.ID] = c
	}
	catalog := &Catalog{revision: revision, apps: make(map[uuid.UUID]*CatalogApp, len(apps))}
	for _, a := range apps {
		if a.VendorID != nil {
			a.Vendor = vendorByID[*a.VendorID]
		}
		catalog.apps[a.ID] = a
	}
	for _, link := range in {
		if a := catalog.apps[link.CatalogAppID]; a != nil {
			a.Categories = append(a.Categories, categoryByID[link.CategoryID])
		}
	}
	for _, a := range apps {
		slices.SortFunc(a.Categories, func(x, y Category) int { return cmp.Compare(x.NameKey, y.NameKey) })
		a.tag = catalogTag(a)
	}
	return catalog, nil
}

func (s *Store) catalogRevision(ctx context.Context) (revision int64, err error) {
	err = s.read.WithContext(ctx).Table("catalog_state").Where("id = 1").Select("revision").Take(&revision).Error
	return revision, err
}

// bumpCatalog makes every server load the catalog anew. It is part of each transaction that changes the catalog.
func bumpCatalog(tx *gorm.DB) error {
	return tx.Exec("UPDATE catalog_state SET revision = revision + 1 WHERE id = 1").Error
}

// followCatalog looks for changes that other servers made. The interval is the bound on how stale the catalog can be.
func (s *Store) followCatalog(ctx context.Context, every time.Duration) {
	defer close(s.stopped)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if s.catalog.Load() == nil {
			continue // nobody has asked for the catalog yet
		}
		if _, err := s.refreshCatalog(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "catalog not refreshed", "error", err)
		}
	}
}
