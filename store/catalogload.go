package store

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// refreshCatalog returns a snapshot that is at least as new as the database is now. After a transaction that changed the
// catalog it makes the change show on this server at once.
func (s *Store) refreshCatalog(ctx context.Context) (*Catalog, error) {
	asked := s.now()
	revision, err := catalogRevision(s.read.WithContext(ctx))
	for err == nil {
		if c := s.catalog.Load(); c != nil && c.revision >= revision {
			s.counts.catalogChecked.Store(&asked)
			return c, nil
		}
		err = s.shareLoad(ctx)
	}
	s.counts.catalogFailures.Add(1)
	return nil, s.translate("load catalog", err)
}

// loadTimeout is how long it may take to read the whole catalog. It bounds how large a catalog can be.
const loadTimeout = 30 * time.Second

// shareLoad waits for one load of the catalog, which all who ask for one at the same time share. It may have begun before a
// change that the caller has seen: then the caller asks again. The load goes on when a caller gives up.
func (s *Store) shareLoad(ctx context.Context) error {
	loaded := s.loading.DoChan("", func() (any, error) {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(s.timeout, loadTimeout))
		defer cancel()
		return nil, s.loadCatalog(bounded)
	})
	select {
	case <-ctx.Done():
		return ctx.Err()
	case result := <-loaded:
		return result.Err
	}
}

// loadCatalog brings the snapshot to the revision of the database. It reads what has changed where the database can say
// that, and else everything.
func (s *Store) loadCatalog(ctx context.Context) error {
	old := s.catalog.Load()
	var build func() *Catalog                          // called when the transaction has ended
	err := s.inSnapshot(ctx, func(tx *gorm.DB) error { // one state of all the tables: no app without its vendor
		revision, err := catalogRevision(tx)
		if err != nil {
			return err
		}
		if old != nil {
			changes, known, err := readChanges(tx, old.revision, revision)
			if err != nil {
				return err
			}
			if known {
				build = func() *Catalog { return old.with(changes) }
				return nil
			}
		}
		rows, err := readCatalog(tx)
		build = func() *Catalog { return newCatalog(revision, rows, old) }
		return err
	})
	if err != nil {
		return err
	}
	fresh := build()
	fresh.loadedAt = s.now()
	s.catalog.Store(fresh)
	s.counts.catalogLoads.Add(1)
	return nil
}

// catalogRows is rows of the tables of the catalog: all of them, or those that have changed.
type catalogRows struct {
	apps       []*CatalogApp
	links      []CatalogAppCategory
	vendors    []Vendor
	categories []Category
	removed    []*CatalogApp
}

func readCatalog(tx *gorm.DB) (catalogRows, error) {
	var rows catalogRows
	for _, into := range []any{&rows.vendors, &rows.categories, &rows.apps, &rows.links} {
		if err := tx.Find(into).Error; err != nil {
			return rows, err
		}
	}
	var changes []catalogChange
	if err := tx.Where("removed IS NOT NULL").Order("revision").Find(&changes).Error; err != nil {
		return rows, err
	}
	var err error
	rows.removed, err = removedApps(changes)
	return rows, err
}

// newCatalog makes a snapshot of all the rows. What the old one has and they have not was removed.
func newCatalog(revision int64, rows catalogRows, old *Catalog) *Catalog {
	c := &Catalog{
		revision: revision,
		vendors:  make(map[uuid.UUID]*Vendor, len(rows.vendors)), categories: make(map[uuid.UUID]Category, len(rows.categories)),
		byVendor: vendorListing.Sorted(rows.vendors), byCategory: categoryListing.Sorted(rows.categories),
	}
	for i := range rows.vendors {
		c.vendors[rows.vendors[i].ID] = &rows.vendors[i]
	}
	for _, category := range rows.categories {
		c.categories[category.ID] = category
	}
	c.apps = c.apps.replace(nil, rows.apps)
	c.join(rows.apps, rows.links)
	c.byApp = catalogListing.Sorted(rows.apps)
	c.removed = lastRemoved(old.gone(c), rows.removed)
	return c
}

// gone returns the entries that the catalog has lost: those that it had still, and those that it had lost before.
func (c *Catalog) gone(since *Catalog) []*CatalogApp {
	if c == nil {
		return nil
	}
	gone := slices.Clone(c.removed)
	for _, a := range c.all() {
		if since.apps.get(a.ID) == nil {
			gone = append(gone, a)
		}
	}
	return gone
}

// lastRemoved adds entries that were removed to the older ones. It leaves out what is in both, and the oldest.
func lastRemoved(older, newer []*CatalogApp) []*CatalogApp {
	if len(newer) == 0 && len(older) <= keptRevisions {
		return older
	}
	again := make(map[uuid.UUID]bool, len(newer))
	for _, a := range newer {
		again[a.ID] = true
	}
	all := make([]*CatalogApp, 0, len(older)+len(newer)) // snapshots share the older list
	for _, a := range older {
		if !again[a.ID] {
			all = append(all, a)
		}
	}
	all = append(all, newer...)
	return all[max(0, len(all)-keptRevisions):]
}

// join gives entries that were just read what they show of the rest of the catalog.
func (c *Catalog) join(apps []*CatalogApp, links []CatalogAppCategory) {
	of := make(map[uuid.UUID][]Category, len(apps))
	for _, link := range links {
		of[link.CatalogAppID] = append(of[link.CatalogAppID], c.categories[link.CategoryID])
	}
	for _, a := range apps {
		a.Vendor = nil
		if a.VendorID != nil {
			a.Vendor = c.vendors[*a.VendorID]
		}
		a.Categories = of[a.ID]
		a.finish()
	}
}

// finish readies an entry that has all it shows.
func (a *CatalogApp) finish() {
	slices.SortFunc(a.Categories, func(x, y Category) int { return cmp.Compare(x.NameKey, y.NameKey) })
	a.tag = catalogTag(a)
	a.Cacheable()
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
