package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// Catalog is the whole shared catalog as it was at one revision. It never changes: a change of the catalog swaps it.
type Catalog struct {
	revision   int64
	loadedAt   time.Time
	apps       map[uuid.UUID]*CatalogApp
	byApp      map[Column][]*CatalogApp // sorted, as are the next two
	byVendor   map[Column][]Vendor
	byCategory map[Column][]Category
}

// CatalogSummary is how much the catalog holds.
type CatalogSummary struct{ Apps, Vendors, Categories int }

// Tag is an opaque text that changes with anything the summary shows.
func (c CatalogSummary) Tag() string {
	return fmt.Sprintf("%d.%d.%d", c.Apps, c.Vendors, c.Categories)
}

// Tag is an opaque text that changes with anything the catalog app shows, vendor and categories included.
func (a *CatalogApp) Tag() string { return a.tag }

// rendering is the form in which an entry is shown, made when it is first asked for.
type rendering struct {
	once  sync.Once
	bytes []byte
}

// Cacheable readies an entry that does not come out of the store's snapshot for Encoded.
func (a *CatalogApp) Cacheable() { a.rendering = &rendering{} }

// Encoded returns what encode makes of the entry. An entry never changes, so it is made once; encode must be the same
// function at every call, and the result must not be changed.
func (a *CatalogApp) Encoded(encode func(*CatalogApp) []byte) []byte {
	a.rendering.once.Do(func() { a.rendering.bytes = encode(a) })
	return a.rendering.bytes
}

// GetCatalogSummary counts the catalog. It can be as stale as the snapshot: Config.CatalogPoll.
func (s *Store) GetCatalogSummary(ctx context.Context) (CatalogSummary, error) {
	c := s.catalog.Load()
	if c == nil {
		var err error
		if c, err = s.refreshCatalog(ctx); err != nil {
			return CatalogSummary{}, err
		}
	}
	return CatalogSummary{Apps: len(c.apps), Vendors: len(c.byVendor[ColumnName]), Categories: len(c.byCategory[ColumnName])}, nil
}

// GetCatalogApp returns one entry of the catalog, or NotFoundError. It can be as stale as the snapshot.
func (s *Store) GetCatalogApp(ctx context.Context, id uuid.UUID) (*CatalogApp, error) {
	entry, err := s.catalogApp(ctx, id)
	if errors.Is(err, errNoEntry) {
		return nil, &NotFoundError{Kind: KindCatalogApp, ID: id}
	}
	return entry, err
}

// errNoEntry is a fault where an app refers to the entry: a foreign key keeps it.
var errNoEntry = errors.New("no such catalog app")

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
		return nil, fmt.Errorf("%w: %s", errNoEntry, id)
	}
	return entry, nil
}

// refreshCatalog replaces the snapshot if the database has a newer revision. After a transaction that changed the
// catalog it makes the change show on this server at once.
func (s *Store) refreshCatalog(ctx context.Context) (*Catalog, error) {
	asked := s.now()
	revision, err := catalogRevision(s.read.WithContext(ctx))
	if err != nil {
		s.counts.catalogFailures.Add(1)
		return nil, s.translate("load catalog", err)
	}
	if c := s.catalog.Load(); c != nil && c.revision >= revision {
		s.counts.catalogChecked.Store(&asked)
		return c, nil
	}
	s.loading.Lock()
	defer s.loading.Unlock()
	if c := s.catalog.Load(); c != nil && c.revision >= revision {
		return c, nil // somebody else has just done it
	}
	fresh, err := s.readCatalog(ctx, revision)
	if err != nil {
		s.counts.catalogFailures.Add(1)
		return nil, s.translate("load catalog", err)
	}
	s.catalog.Store(fresh)
	s.counts.catalogLoads.Add(1)
	s.counts.catalogChecked.Store(&asked)
	return fresh, nil
}

// readCatalog reads the tables of the catalog. The revision was read before them: what is written meanwhile belongs to a
// later one and is read again.
func (s *Store) readCatalog(ctx context.Context, revision int64) (*Catalog, error) {
	var (
		vendors    []Vendor
		categories []Category
		apps       []*CatalogApp
		in         []CatalogAppCategory
	)
	// One state of all the tables: no app without its vendor.
	err := s.inSnapshot(ctx, func(tx *gorm.DB) error {
		for _, rows := range []any{&vendors, &categories, &apps, &in} {
			if err := tx.Find(rows).Error; err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	vendorByID := make(map[uuid.UUID]*Vendor, len(vendors))
	for i := range vendors {
		vendorByID[vendors[i].ID] = &vendors[i]
	}
	categoryByID := make(map[uuid.UUID]Category, len(categories))
	for _, c := range categories {
		categoryByID[c.ID] = c
	}
	catalog := &Catalog{
		revision: revision, loadedAt: s.now(), apps: make(map[uuid.UUID]*CatalogApp, len(apps)),
		byVendor: vendorListing.sorted(vendors), byCategory: categoryListing.sorted(categories),
	}
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
		a.Cacheable()
	}
	catalog.byApp = catalogListing.sorted(apps)
	return catalog, nil
}

func catalogRevision(db *gorm.DB) (revision int64, err error) {
	err = db.Table("catalog_state").Where("id = 1").Select("revision").Take(&revision).Error
	return revision, err
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
		bounded, cancel := s.bounded(ctx)
		if _, err := s.refreshCatalog(bounded); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "catalog not refreshed", "error", err)
		}
		cancel()
	}
}
