package store

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// inEntryTx is inCatalogTx for a change of one catalog app. When nothing else has changed since the snapshot was taken,
// what is shown next is the snapshot with that one entry changed: to read the whole catalog anew takes much longer.
func (s *Store) inEntryTx(ctx context.Context, doing string, id uuid.UUID, wrote witness, work func(tx *gorm.DB) (changed bool, err error)) error {
	var entry *CatalogApp // nil when there is none any more
	var before int64      // the revision that the change was made to; 0 when nothing has changed
	err := s.changeCatalog(ctx, doing, wrote, func(tx *gorm.DB) (bool, error) {
		before, entry = 0, nil // it may run again
		changed, err := work(tx)
		if err != nil || !changed {
			return false, err
		}
		if before, err = catalogRevision(tx); err != nil {
			return false, err
		}
		entry, err = lockedCatalogApp(tx, id)
		if gone := (*NotFoundError)(nil); errors.As(err, &gone) {
			return true, nil
		}
		return true, err
	})
	if err != nil {
		return err
	}
	if before != 0 && s.swapEntry(before, id, entry) {
		return nil
	}
	return s.afterwards(ctx, func(ctx context.Context) error {
		_, err := s.refreshCatalog(ctx)
		return err
	})
}

// swapEntry replaces the snapshot by one with this entry, if it is of the revision that the entry was changed in.
func (s *Store) swapEntry(before int64, id uuid.UUID, entry *CatalogApp) bool {
	s.loading.Lock()
	defer s.loading.Unlock()
	c := s.catalog.Load()
	if c == nil || c.revision != before {
		return false
	}
	next := *c
	next.revision++
	next.apps, next.byApp = maps.Clone(c.apps), make(map[Column][]*CatalogApp, len(c.byApp))
	delete(next.apps, id)
	if entry != nil {
		entry.Cacheable()
		next.apps[id] = entry
	}
	for by, apps := range c.byApp {
		apps = slices.DeleteFunc(slices.Clone(apps), func(a *CatalogApp) bool { return a.ID == id })
		if entry != nil {
			at, _ := slices.BinarySearchFunc(apps, entry, catalogListing.order(by))
			apps = slices.Insert(apps, at, entry)
		}
		next.byApp[by] = apps
	}
	s.catalog.Store(&next)
	return true
}
