package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/clientapps/clientapps/store/catalogcache"
)

// loadTimeout is how long it may take to read the whole catalog. It bounds how large a catalog can be.
const loadTimeout = 30 * time.Second

// newCatalogCache returns the snapshot of the catalog.
func (s *Store) newCatalogCache() *catalogcache.Cache[Catalog] {
	return catalogcache.New(catalogcache.Config[Catalog]{
		Revision:   func(ctx context.Context) (int64, error) { return catalogRevision(s.reader.WithContext(ctx)) },
		Load:       s.loadCatalog,
		RevisionOf: func(c *Catalog) int64 { return c.revision },
		Clock:      s.now,
		Timeout:    max(s.timeout, loadTimeout),
		OnError:    func(ctx context.Context, what string, err error) { s.log.WarnContext(ctx, what, "error", err) },
	})
}

// refreshCatalog returns a snapshot that is at least as new as the database is now.
func (s *Store) refreshCatalog(ctx context.Context) (*Catalog, error) {
	c, err := s.catalog.Refresh(ctx)
	return c, s.translate("load catalog", err)
}

// loadCatalog brings the snapshot to the revision of the database.
func (s *Store) loadCatalog(ctx context.Context, old *Catalog) (*Catalog, error) {
	var build func() *Catalog                          // called when the transaction has ended
	err := s.inSnapshot(ctx, func(tx *gorm.DB) error { // one state of all the tables: no app without its vendor
		revision, err := catalogRevision(tx)
		if err == nil {
			build, err = readCatalogAt(tx, revision, old)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return build(), nil
}

// readCatalogAt reads what builds the snapshot of a revision, which is the one that the transaction sees. It reads what has changed since
// the old snapshot where the database can say that, and else everything.
func readCatalogAt(tx *gorm.DB, revision int64, old *Catalog) (build func() *Catalog, err error) {
	if old != nil {
		changes, known, err := readCatalogDelta(tx, old.revision, revision)
		if err != nil {
			return nil, err
		}
		if known {
			return func() *Catalog { return old.apply(changes) }, nil
		}
	}
	rows, err := readCatalog(tx)
	return func() *Catalog { return newCatalog(revision, rows, old) }, err
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
	var changes []changedEntity
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
	c.removed = mergeRemoved(old.removedIn(c), rows.removed)
	return c
}

// removedIn returns the entries that were removed until newer was read: those that newer does not have any more, and those that were
// removed before.
func (c *Catalog) removedIn(newer *Catalog) []*CatalogApp {
	if c == nil {
		return nil
	}
	removed := slices.Clone(c.removed)
	for _, a := range c.all() {
		if newer.apps.get(a.ID) == nil {
			removed = append(removed, a)
		}
	}
	return removed
}

// mergeRemoved adds newer removed entries to the older ones. It leaves out the older copy of an entry that is in both, and the oldest
// entries if there are more than keptRevisions.
func mergeRemoved(older, newer []*CatalogApp) []*CatalogApp {
	if len(newer) == 0 && len(older) <= keptRevisions {
		return older
	}
	isNewer := make(map[uuid.UUID]bool, len(newer))
	for _, a := range newer {
		isNewer[a.ID] = true
	}
	all := make([]*CatalogApp, 0, len(older)+len(newer)) // snapshots share the older list
	for _, a := range older {
		if !isNewer[a.ID] {
			all = append(all, a)
		}
	}
	all = append(all, newer...)
	return all[max(0, len(all)-keptRevisions):]
}

// join gives entries that were just read what they show of the rest of the catalog.
func (c *Catalog) join(apps []*CatalogApp, links []CatalogAppCategory) {
	byApp := make(map[uuid.UUID][]Category, len(apps))
	for _, link := range links {
		byApp[link.CatalogAppID] = append(byApp[link.CatalogAppID], c.categories[link.CategoryID])
	}
	for _, a := range apps {
		a.Vendor = nil
		if a.VendorID != nil {
			a.Vendor = c.vendors[*a.VendorID]
		}
		a.Categories = byApp[a.ID]
		a.finish()
	}
}

// finish computes what depends on all that an entry shows.
func (a *CatalogApp) finish() {
	slices.SortFunc(a.Categories, func(x, y Category) int { return cmp.Compare(x.NameKey, y.NameKey) })
	a.etag = catalogETag(a)
	a.InitEncoded()
}

func catalogRevision(db *gorm.DB) (revision int64, err error) {
	err = db.Table("catalog_state").Where("id = 1").Select("revision").Take(&revision).Error
	return revision, err
}

const (
	// keptRevisions is for how many revisions the database says what changed, and how many entries that were removed a
	// snapshot has still. It bounds how many changes may come between reading an app and showing it.
	keptRevisions = 4096
	// maxDelta is how many changes are read one by one. If there are more, the whole catalog is read.
	maxDelta = 512
)

// changedEntity says what of the catalog a revision changed.
type changedEntity struct {
	Revision int64
	Entity   string
	EntityID uuid.UUID
	Removed  *string // JSON of a catalog app that was removed, as it was last
}

// TableName implements gorm's Tabler.
func (changedEntity) TableName() string { return "catalog_revisions" }

const (
	entityApp      = "catalog_app"
	entityVendor   = "vendor"
	entityCategory = "category"
)

func changeOf(entity string, id uuid.UUID) *changedEntity {
	return &changedEntity{Entity: entity, EntityID: id}
}

func removalOf(app *CatalogApp) (*changedEntity, error) {
	text, err := json.Marshal(app)
	last := string(text)
	return &changedEntity{Entity: entityApp, EntityID: app.ID, Removed: &last}, err
}

// removedApps are the entries that changes have removed.
func removedApps(changes []changedEntity) ([]*CatalogApp, error) {
	var removed []*CatalogApp
	for _, change := range changes {
		if change.Removed == nil {
			continue
		}
		a := &CatalogApp{}
		if err := json.Unmarshal([]byte(*change.Removed), a); err != nil {
			return nil, fmt.Errorf("revision %d of the catalog: %w", change.Revision, err)
		}
		a.finish()
		removed = append(removed, a)
	}
	return removed, nil
}

// catalogDelta is what has changed up to a revision, and the rows as they are then. An id without a row was removed.
type catalogDelta struct {
	revision                  int64
	apps, vendors, categories []uuid.UUID
	rows                      catalogRows
}

// readCatalogDelta reads what has changed since a revision; known is false when the database cannot say that, or when it is much.
func readCatalogDelta(tx *gorm.DB, since, revision int64) (delta catalogDelta, known bool, err error) {
	if revision-since > maxDelta {
		return delta, false, nil
	}
	var changes []changedEntity
	if err := tx.Where("revision > ?", since).Order("revision").Limit(maxDelta + 1).Find(&changes).Error; err != nil {
		return delta, false, err
	}
	ids := map[string][]uuid.UUID{}
	last := since
	for _, change := range changes {
		if change.Revision > last+1 {
			return delta, false, nil
		}
		last = change.Revision
		ids[change.Entity] = append(ids[change.Entity], change.EntityID)
	}
	if last != revision || len(changes) > maxDelta {
		return delta, false, nil
	}
	delta = catalogDelta{
		revision: revision, apps: distinct(ids[entityApp]), vendors: distinct(ids[entityVendor]), categories: distinct(ids[entityCategory]),
	}
	for _, read := range []struct {
		ids    []uuid.UUID
		column string
		into   any
	}{
		{delta.vendors, "id", &delta.rows.vendors},
		{delta.categories, "id", &delta.rows.categories},
		{delta.apps, "id", &delta.rows.apps},
		{delta.apps, "catalog_app_id", &delta.rows.links},
	} {
		if len(read.ids) == 0 {
			continue
		}
		if err := whereIn(tx, read.column, read.ids).Find(read.into).Error; err != nil {
			return delta, false, err
		}
	}
	delta.rows.removed, err = removedApps(changes)
	return delta, true, err
}

// apply returns the snapshot after the changes. What has not changed it shares with this one.
func (c *Catalog) apply(d catalogDelta) *Catalog {
	next := *c
	next.revision = d.revision
	if len(d.vendors) > 0 {
		var removed []Vendor
		next.vendors = maps.Clone(c.vendors)
		for _, id := range d.vendors {
			if v := c.vendors[id]; v != nil {
				removed = append(removed, *v)
			}
			delete(next.vendors, id)
		}
		for i := range d.rows.vendors {
			next.vendors[d.rows.vendors[i].ID] = &d.rows.vendors[i]
		}
		next.byVendor = vendorListing.Replace(c.byVendor, removed, d.rows.vendors)
	}
	if len(d.categories) > 0 {
		var removed []Category
		next.categories = maps.Clone(c.categories)
		for _, id := range d.categories {
			if category, ok := c.categories[id]; ok {
				removed = append(removed, category)
			}
			delete(next.categories, id)
		}
		for _, category := range d.rows.categories {
			next.categories[category.ID] = category
		}
		next.byCategory = categoryListing.Replace(c.byCategory, removed, d.rows.categories)
	}
	var removed []*CatalogApp
	for _, id := range d.apps {
		if a := c.apps.get(id); a != nil {
			removed = append(removed, a)
		}
	}
	added := d.rows.apps
	next.join(added, d.rows.links)
	for _, a := range c.affectedBy(d) {
		removed, added = append(removed, a), append(added, next.rejoin(a))
	}
	next.apps = c.apps.replace(removed, added)
	next.byApp = catalogListing.Replace(c.byApp, removed, added)
	next.removed = mergeRemoved(c.removed, d.rows.removed)
	return &next
}

// affectedBy returns the entries that have not changed themselves but show a vendor or a category that has.
func (c *Catalog) affectedBy(d catalogDelta) []*CatalogApp {
	if len(d.vendors) == 0 && len(d.categories) == 0 {
		return nil
	}
	var vendors []*Vendor
	for _, id := range d.vendors {
		if v := c.vendors[id]; v != nil {
			vendors = append(vendors, v)
		}
	}
	shows := func(a *CatalogApp) bool {
		return a.Vendor != nil && slices.Contains(vendors, a.Vendor) || len(d.categories) > 0 &&
			slices.ContainsFunc(a.Categories, func(c Category) bool { return slices.Contains(d.categories, c.ID) })
	}
	var found []*CatalogApp
	for _, a := range c.all() {
		if shows(a) && !slices.Contains(d.apps, a.ID) {
			found = append(found, a)
		}
	}
	return found
}

// rejoin returns a copy of the entry with the vendor and the categories of this snapshot.
func (c *Catalog) rejoin(a *CatalogApp) *CatalogApp {
	fresh := *a
	if a.VendorID != nil {
		fresh.Vendor = c.vendors[*a.VendorID]
	}
	fresh.Categories = nil
	for _, category := range a.Categories {
		fresh.Categories = append(fresh.Categories, c.categories[category.ID])
	}
	fresh.finish()
	return &fresh
}
