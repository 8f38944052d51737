package store

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/clientapps/clientapps/store/casefold"
	"github.com/clientapps/clientapps/store/changefeed"
	"github.com/clientapps/clientapps/store/etag"
	"github.com/clientapps/clientapps/store/keyset"
)

// Catalog is the whole shared catalog as it was at one revision. It never changes: a change of the catalog swaps it.
type Catalog struct {
	revision   int64
	apps       entries
	vendors    map[uuid.UUID]*Vendor
	categories map[uuid.UUID]Category
	removed    []*CatalogApp            // entries that were removed lately, oldest first: at most keptRevisions
	byApp      map[Column][]*CatalogApp // sorted, as are the next two
	byVendor   map[Column][]Vendor
	byCategory map[Column][]Category
}

// entries are catalog apps by id, in parts by its last byte: a change copies the part that it is in.
type entries [256]map[uuid.UUID]*CatalogApp

func (e *entries) get(id uuid.UUID) *CatalogApp { return e[id[15]][id] }

// replace returns the entries without those that were removed and with those that were added.
func (e *entries) replace(removed, added []*CatalogApp) entries {
	next := *e
	var copied [len(next)]bool // parts that are not shared
	part := func(id uuid.UUID) map[uuid.UUID]*CatalogApp {
		n := id[15]
		if !copied[n] {
			next[n], copied[n] = maps.Clone(next[n]), true
		}
		if next[n] == nil {
			next[n] = map[uuid.UUID]*CatalogApp{}
		}
		return next[n]
	}
	for _, a := range removed {
		delete(part(a.ID), a.ID)
	}
	for _, a := range added {
		part(a.ID)[a.ID] = a
	}
	return next
}

// CatalogSummary is how much the catalog holds.
type CatalogSummary struct{ Apps, Vendors, Categories int }

// ETag is an opaque text that changes with anything the summary shows.
func (c CatalogSummary) ETag() string {
	return fmt.Sprintf("%d.%d.%d", c.Apps, c.Vendors, c.Categories)
}

// ETag is an opaque text that changes with anything the catalog app shows, vendor and categories included.
func (a *CatalogApp) ETag() string { return a.etag }

// encodedOnce is the form in which an entry is shown, made when it is first asked for.
type encodedOnce struct {
	once  sync.Once
	bytes []byte
}

// InitEncoded prepares an entry that does not come out of the store's snapshot for Encoded.
func (a *CatalogApp) InitEncoded() { a.encoded = &encodedOnce{} }

// Encoded returns the encoded entry. An entry never changes, so it is encoded once: encode must be the same function at every
// call, and the result must not be changed.
func (a *CatalogApp) Encoded(encode func(*CatalogApp) []byte) []byte {
	a.encoded.once.Do(func() { a.encoded.bytes = encode(a) })
	return a.encoded.bytes
}

// GetCatalogSummary counts the catalog. It can be as stale as the snapshot: Config.CatalogPollInterval.
func (s *Store) GetCatalogSummary(ctx context.Context) (CatalogSummary, error) {
	c := s.catalog.Current()
	if c == nil {
		var err error
		if c, err = s.refreshCatalog(ctx); err != nil {
			return CatalogSummary{}, err
		}
	}
	return CatalogSummary{Apps: len(c.all()), Vendors: len(c.vendors), Categories: len(c.categories)}, nil
}

// GetCatalogApp returns one entry of the catalog, or NotFoundError. It can be as stale as the snapshot.
func (s *Store) GetCatalogApp(ctx context.Context, id uuid.UUID) (*CatalogApp, error) {
	entry, err := s.findEntry(ctx, func(c *Catalog) *CatalogApp { return c.apps.get(id) })
	if entry == nil && err == nil {
		return nil, &NotFoundError{Kind: KindCatalogApp, ID: id}
	}
	return entry, err
}

// errNoEntry says that an app refers to an entry that is neither in the catalog nor among those that were removed lately. The
// app has been removed too since it was read: a foreign key keeps an entry that has apps.
var errNoEntry = errors.New("no such catalog app")

// entryOf returns the catalog entry that an app shows. When the app was read before it was removed together with its entry,
// that is the entry as it was last.
func (s *Store) entryOf(ctx context.Context, id uuid.UUID) (*CatalogApp, error) {
	entry, err := s.findEntry(ctx, func(c *Catalog) *CatalogApp { return c.entry(id) })
	if entry == nil && err == nil {
		return nil, fmt.Errorf("%w: %s", errNoEntry, id)
	}
	return entry, err
}

// all returns the entries, by name.
func (c *Catalog) all() []*CatalogApp { return c.byApp[ColumnCanonicalName] }

// entry returns an entry that is there or was removed lately.
func (c *Catalog) entry(id uuid.UUID) *CatalogApp {
	if entry := c.apps.get(id); entry != nil {
		return entry
	}
	for i := len(c.removed) - 1; i >= 0; i-- {
		if c.removed[i].ID == id {
			return c.removed[i]
		}
	}
	return nil
}

// findEntry looks in the snapshot and, if the entry is not there, once more in one that is as new as the database: another
// server may have just made it.
func (s *Store) findEntry(ctx context.Context, lookup func(*Catalog) *CatalogApp) (*CatalogApp, error) {
	if snapshot := s.catalog.Current(); snapshot != nil {
		if entry := lookup(snapshot); entry != nil {
			return entry, nil
		}
	}
	fresh, err := s.refreshCatalog(ctx)
	if err != nil {
		return nil, err
	}
	return lookup(fresh), nil
}

// CatalogFilter selects catalog apps. The zero value selects all of them; what is set combines with AND.
type CatalogFilter struct {
	Query      string // part of the name
	CategoryID *uuid.UUID
	VendorID   *uuid.UUID
	Type       *string
}

// match returns a function that reports whether an entry is selected, or nil when every entry is.
func (f CatalogFilter) match() func(*CatalogApp) bool {
	if f == (CatalogFilter{}) {
		return nil
	}
	part := casefold.Name(f.Query)
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
	TieColumn:       "id",
	TieBreaker:      func(a *CatalogApp) string { return a.ID.String() },
	ValidTieBreaker: keyset.IsID,
}

// ListCatalogApps returns one page of the catalog, out of the snapshot once that is as new as the database.
func (s *Store) ListCatalogApps(ctx context.Context, f CatalogFilter, p Page) (List[*CatalogApp], error) {
	catalog, err := s.refreshCatalog(ctx)
	if err != nil {
		return List[*CatalogApp]{}, err
	}
	return snapshotPage(catalogListing, catalog.byApp, p, f.match())
}

// snapshotPage returns a page of a snapshot, with its ETag.
func snapshotPage[T catalogRow](l listing[T], orders map[Column][]T, p Page, match func(T) bool) (List[T], error) {
	list, err := l.PageInMemory(orders, p, match)
	if err == nil {
		list.ETag = pageETag(list)
	}
	return list, err
}

// maxLookups is how many catalog apps are looked up one by one among a client's apps. If there are more, reading the client's apps in
// order fills a page sooner than the look-ups would.
const maxLookups = 200

// matchingIDs returns the ids of the entries that the filter selects; ok is false when they are too many to look up.
func (c *Catalog) matchingIDs(f CatalogFilter) (ids []uuid.UUID, ok bool) {
	match := f.match()
	for _, a := range c.all() {
		if !match(a) {
			continue
		}
		if len(ids) == maxLookups {
			return nil, false
		}
		ids = append(ids, a.ID)
	}
	return ids, true
}

// catalogRow is a row of the catalog that a list shows.
type catalogRow interface {
	appendState(b []byte) []byte // appends what changes with anything the row shows
}

func (a *CatalogApp) appendState(b []byte) []byte { return append(append(b, a.etag...), 0) }
func (v Vendor) appendState(b []byte) []byte {
	return etag.AppendState(b, v.ID, v.Version, v.UpdatedAt)
}

func (c Category) appendState(b []byte) []byte {
	return etag.AppendState(b, c.ID, c.Version, c.UpdatedAt)
}

// pageETag is the tag of a page of the catalog. It is made of the rows, not of the catalog's revision: a database that was restored,
// or made anew, comes to the same revision with other rows.
func pageETag[T catalogRow](list List[T]) string {
	b := fmt.Appendf(nil, "%d %d ", len(list.Rows), list.Total)
	for _, row := range list.Rows {
		b = row.appendState(b)
	}
	if list.Next != nil {
		b = append(append(append(b, list.Next.SortKey...), 0), list.Next.TieBreaker...)
	}
	return etag.OfText(b)
}

// catalogETag digests the states of everything that a catalog app shows.
func catalogETag(a *CatalogApp) string {
	b := etag.AppendState(nil, a.ID, a.Version, a.UpdatedAt)
	if a.Vendor != nil {
		b = a.Vendor.appendState(b)
	}
	for _, c := range a.Categories {
		b = c.appendState(b)
	}
	h := fnv.New64a()
	_, _ = h.Write(b)
	return strconv.FormatUint(h.Sum64(), 36)
}

// CatalogChangeList is a part of the feed of the catalog, in its order.
type CatalogChangeList struct {
	Rows []CatalogChange
	Next Position
	More bool // otherwise Next is the end of the feed at this moment
}

// catalogChangeSpace is the name space of the ids of changes.
var catalogChangeSpace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("clientapps:catalog-change"))

// ID names the change, as AppChange.ID does.
func (c CatalogChange) ID() uuid.UUID {
	return uuid.NewSHA1(catalogChangeSpace, []byte(c.key().String()))
}

func (c CatalogChange) key() changefeed.CatalogKey {
	return changefeed.CatalogKey{Revision: c.Revision, Entity: c.Entity, EntityID: c.EntityID, Field: c.Field}
}

const catalogChangeOrder = "revision, entity, entity_id, field"

// ListCatalogChanges returns the changes of the catalog, oldest first, at most size. Whoever goes on at Next gets each change once and
// misses none. What was there before the catalog had a history has no changes from then.
//
// Errors are ErrCursorExpired, and ErrPosition for a position of another kind.
func (s *Store) ListCatalogChanges(ctx context.Context, from ChangeStart, size int) (list CatalogChangeList, err error) {
	var after changefeed.CatalogKey
	if from.After != nil {
		if after, err = changefeed.ParseCatalogKey(from.After.TieBreaker); err != nil {
			return CatalogChangeList{}, fmt.Errorf("%w: %w", ErrPosition, err)
		}
	}
	err = s.readFeed(ctx, func(tx *gorm.DB, state changefeed.State) (err error) {
		list, err = s.catalogChangesIn(tx, state, from, after, size)
		return err
	})
	return list, err
}

// catalogChangesIn reads one page in a snapshot. It has the changes of all revisions up to the present one, and of no others.
func (s *Store) catalogChangesIn(
	tx *gorm.DB, state changefeed.State, from ChangeStart, after changefeed.CatalogKey, size int,
) (list CatalogChangeList, err error) {
	present, err := catalogRevision(tx)
	if err != nil {
		return list, err
	}
	next, pruned := changefeed.BeforeRevision(present+1), changefeed.BeforeRevision(state.PrunedRevision)
	switch {
	case from.After != nil && (from.After.SortKey != *state.Nonce || after.Compare(next) > 0 || after.Compare(pruned) < 0):
		return list, ErrCursorExpired
	case from.Since != nil:
		if after, err = s.revisionSince(tx, state, *from.Since, present+1); err != nil {
			return list, err
		}
	}
	q := tx.Where("("+catalogChangeOrder+") > (?, ?, ?, ?)", after.Revision, after.Entity, after.EntityID, after.Field)
	// SQLite searches by a bound of the first column alone.
	q = q.Where("revision >= ? AND revision <= ?", after.Revision, present).Order(catalogChangeOrder).Limit(size + 1)
	if err := q.Find(&list.Rows).Error; err != nil {
		return list, err
	}
	if len(list.Rows) > size {
		list.Rows = list.Rows[:size]
		next, list.More = list.Rows[size-1].key(), true
	}
	list.Next = Position{SortKey: *state.Nonce, TieBreaker: next.String()}
	return list, nil
}

// revisionSince returns a key before all changes of the catalog since a time.
func (s *Store) revisionSince(tx *gorm.DB, state changefeed.State, since time.Time, end int64) (changefeed.CatalogKey, error) {
	revision, err := s.positionSince(state, since, end, func(revision int64) (int64, time.Time, error) {
		var first []CatalogChange
		q := tx.Select("revision, changed_at").Where("revision >= ? AND revision < ?", revision, end)
		if err := q.Order("revision").Limit(1).Find(&first).Error; err != nil || len(first) == 0 {
			return end, time.Time{}, err
		}
		return first[0].Revision, first[0].ChangedAt, nil
	})
	return changefeed.BeforeRevision(revision), err
}

// ETag is an opaque text that changes with anything the vendor shows.
func (v Vendor) ETag() string { return etag.OfVersion(v.Version) }

var vendorListing = listing[Vendor]{
	Keys:            map[Column]sortKey[Vendor]{ColumnName: keyset.TextKey("name_key", func(v Vendor) string { return v.NameKey })},
	TieColumn:       "id",
	TieBreaker:      func(v Vendor) string { return v.ID.String() },
	ValidTieBreaker: keyset.IsID,
}

// ListVendors returns one page of the vendors whose name has the query in it.
func (s *Store) ListVendors(ctx context.Context, query string, p Page) (List[Vendor], error) {
	catalog, err := s.refreshCatalog(ctx)
	if err != nil {
		return List[Vendor]{}, err
	}
	part := casefold.Name(query)
	return snapshotPage(vendorListing, catalog.byVendor, p, func(v Vendor) bool { return strings.Contains(v.NameKey, part) })
}

// CreateVendor adds a vendor. ConflictError says that the name is taken.
func (s *Store) CreateVendor(ctx context.Context, fields Fields, by Actor) (Vendor, error) {
	now := s.now()
	name := fields.text(ColumnName)
	vendor := Vendor{
		ID: uuid.New(), Name: *name, NameKey: casefold.Name(*name), URL: fields.text(ColumnURL),
		Version: 1, CreatedAt: now, UpdatedAt: now,
	}
	err := s.inCatalogTx(ctx, "create vendor", by, exists(&Vendor{}, vendor.ID), func(tx *gorm.DB) (*changedEntity, error) {
		return changeOf(entityVendor, vendor.ID), asConflict(tx.Create(&vendor).Error, ColumnName)
	})
	return vendor, err
}

// DeleteVendor deletes a vendor. Errors are NotFoundError, PreconditionError and, when catalog apps name it, InUseError.
func (s *Store) DeleteVendor(ctx context.Context, id uuid.UUID, by Actor, match *IfMatch) error {
	return s.deleteNamed(ctx, KindVendor, entityVendor, &Vendor{}, id, by, match)
}

// UpdateVendor sets fields of a vendor. Errors are NotFoundError, PreconditionError and, for the name, ConflictError.
func (s *Store) UpdateVendor(ctx context.Context, id uuid.UUID, fields Fields, by Actor, match *IfMatch) (Vendor, error) {
	var vendor Vendor
	err := s.inCatalogTx(ctx, "update vendor", by, nil, func(tx *gorm.DB) (*changedEntity, error) {
		err := tx.Where("id = ?", id).Take(&vendor).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return nil, &NotFoundError{Kind: KindVendor, ID: id}
		}
		if err != nil {
			return nil, err
		}
		version := vendor.Version
		wrote, err := s.patchNamed(tx.Where("id = ?", id), &vendor, vendor.fields(), fields, vendor.ETag(), match)
		if err != nil || !wrote {
			return nil, err
		}
		if isDryRun(ctx) {
			vendor.Version = version
		}
		return changeOf(entityVendor, id), nil
	})
	return vendor, err
}

// ETag is an opaque text that changes with anything the category shows.
func (c Category) ETag() string { return etag.OfVersion(c.Version) }

var categoryListing = listing[Category]{
	Keys:            map[Column]sortKey[Category]{ColumnName: keyset.TextKey("name_key", func(c Category) string { return c.NameKey })},
	TieColumn:       "id",
	TieBreaker:      func(c Category) string { return c.ID.String() },
	ValidTieBreaker: keyset.IsID,
}

// ListCategories returns one page of the categories whose name has the query in it.
func (s *Store) ListCategories(ctx context.Context, query string, p Page) (List[Category], error) {
	catalog, err := s.refreshCatalog(ctx)
	if err != nil {
		return List[Category]{}, err
	}
	part := casefold.Name(query)
	return snapshotPage(categoryListing, catalog.byCategory, p, func(c Category) bool { return strings.Contains(c.NameKey, part) })
}

// CreateCategory adds a category. ConflictError says that the name is taken.
func (s *Store) CreateCategory(ctx context.Context, fields Fields, by Actor) (Category, error) {
	now := s.now()
	name := fields.text(ColumnName)
	category := Category{
		ID: uuid.New(), Name: *name, NameKey: casefold.Name(*name), Version: 1, CreatedAt: now, UpdatedAt: now,
	}
	err := s.inCatalogTx(ctx, "create category", by, exists(&Category{}, category.ID), func(tx *gorm.DB) (*changedEntity, error) {
		return changeOf(entityCategory, category.ID), asConflict(tx.Create(&category).Error, ColumnName)
	})
	return category, err
}

// DeleteCategory deletes a category. Errors are NotFoundError, PreconditionError and, when catalog apps are in it, InUseError.
func (s *Store) DeleteCategory(ctx context.Context, id uuid.UUID, by Actor, match *IfMatch) error {
	return s.deleteNamed(ctx, KindCategory, entityCategory, &Category{}, id, by, match)
}

// UpdateCategory sets fields of a category. Errors are NotFoundError, PreconditionError and, for the name, ConflictError.
func (s *Store) UpdateCategory(ctx context.Context, id uuid.UUID, fields Fields, by Actor, match *IfMatch) (Category, error) {
	var category Category
	err := s.inCatalogTx(ctx, "update category", by, nil, func(tx *gorm.DB) (*changedEntity, error) {
		err := tx.Where("id = ?", id).Take(&category).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return nil, &NotFoundError{Kind: KindCategory, ID: id}
		}
		if err != nil {
			return nil, err
		}
		version := category.Version
		wrote, err := s.patchNamed(tx.Where("id = ?", id), &category, category.fields(), fields, category.ETag(), match)
		if err != nil || !wrote {
			return nil, err
		}
		if isDryRun(ctx) {
			category.Version = version
		}
		return changeOf(entityCategory, id), nil
	})
	return category, err
}
