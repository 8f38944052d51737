package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Catalog is the whole shared catalog as it was at one revision. It never changes: a change of the catalog swaps it.
type Catalog struct {
	revision   int64
	loadedAt   time.Time
	apps       entries
	vendors    map[uuid.UUID]*Vendor
	categories map[uuid.UUID]Category
	removed    []*CatalogApp            // the latest entries that are no more, oldest first: at most keptRevisions
	byApp      map[Column][]*CatalogApp // sorted, as are the next two
	byVendor   map[Column][]Vendor
	byCategory map[Column][]Category
}

// entries are catalog apps by id, in parts by its last byte: a change copies the part that it is in.
type entries [256]map[uuid.UUID]*CatalogApp

func (e *entries) get(id uuid.UUID) *CatalogApp { return e[id[15]][id] }

// replace returns the entries with some in the place of others.
func (e *entries) replace(gone, come []*CatalogApp) entries {
	next := *e
	var own [len(next)]bool // parts that are not shared
	part := func(id uuid.UUID) map[uuid.UUID]*CatalogApp {
		n := id[15]
		if !own[n] {
			next[n], own[n] = maps.Clone(next[n]), true
		}
		if next[n] == nil {
			next[n] = map[uuid.UUID]*CatalogApp{}
		}
		return next[n]
	}
	for _, a := range gone {
		delete(part(a.ID), a.ID)
	}
	for _, a := range come {
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

// Tag is an opaque text that changes with anything the catalog app shows, vendor and categories included.
func (a *CatalogApp) Tag() string { return a.tag }

// encodedOnce is the form in which an entry is shown, made when it is first asked for.
type encodedOnce struct {
	once  sync.Once
	bytes []byte
}

// Cacheable readies an entry that does not come out of the store's snapshot for Encoded.
func (a *CatalogApp) Cacheable() { a.rendering = &encodedOnce{} }

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

// all are the entries, by name.
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
func (s *Store) findEntry(ctx context.Context, in func(*Catalog) *CatalogApp) (*CatalogApp, error) {
	if snapshot := s.catalog.Load(); snapshot != nil {
		if entry := in(snapshot); entry != nil {
			return entry, nil
		}
	}
	fresh, err := s.refreshCatalog(ctx)
	if err != nil {
		return nil, err
	}
	return in(fresh), nil
}
