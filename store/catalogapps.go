package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/clientapps/clientapps/store/casefold"
	"github.com/clientapps/clientapps/store/etag"
	"github.com/clientapps/clientapps/store/keyset"
	"github.com/clientapps/clientapps/store/tenant"
)

// showTimeout bounds how long a change of the catalog waits for the snapshot of this server to have it.
const showTimeout = time.Second

// inCatalogTx runs one change of the catalog; work returns what it changed, or nil, which rolls the transaction back. Changes of all
// servers run one after the other, since each locks the row that counts them. When inCatalogTx returns, the snapshot of this server has
// the change, unless that took longer than showTimeout. The change is committed in either case.
func (s *Store) inCatalogTx(ctx context.Context, doing string, by Actor, probe commitProbe, work func(tx *gorm.DB) (*changedEntity, error)) error {
	var change *changedEntity
	err := s.inTx(ctx, catalogShare, probe, func(tx *gorm.DB) error {
		if err := s.lockCatalog(tx, by); err != nil {
			return err
		}
		var err error
		if change, err = work(tx); err != nil {
			return err
		}
		if change == nil {
			return errUnchanged
		}
		return bumpCatalog(tx, change)
	})
	if errors.Is(err, errUnchanged) {
		return nil
	}
	if err == nil && !isDryRun(ctx) {
		s.catalog.RefreshWithin(ctx, showTimeout)
	}
	return s.translate(doing, err)
}

// errUnchanged rolls back a transaction that has locked the catalog and has nothing to write.
var errUnchanged = errors.New("nothing has changed")

// exists is the commitProbe of a row with a new id.
func exists(model any, id uuid.UUID) commitProbe {
	return func(db *gorm.DB) (bool, error) {
		var n int64
		err := db.Model(model).Where("id = ?", id).Count(&n).Error
		return n > 0, err
	}
}

// lockCatalog keeps others from changing the catalog until the transaction ends, and says who makes the next revision: the triggers
// of the catalog's history read that. A transaction that changes the catalog calls it before it writes, and bumpCatalog at its end,
// so that the history is in the order of the commits, and so are its times.
func (s *Store) lockCatalog(tx *gorm.DB, by Actor) error {
	return tx.Exec("UPDATE catalog_state SET next_revision = revision + 1, actor_id = ?, actor_name = ?, request_id = ?, changed_at = "+
		s.db.Greatest()+"(changed_at, ?) WHERE id = 1", by.ID, by.Name, by.RequestID, s.now()).Error
}

// Advisory locks of PostgreSQL. A trigger of catalog_state takes them alone, as the update of that row begins; others share them. A lock
// of the row would not do: a steady stream of shared locks can keep out one that is exclusive. On a database distributed by client,
// the row and its trigger are on every machine. Others take the lock on the machine of their client only, where it ends as their write
// is committed.
const (
	// catalogLock is taken by lockCatalog. Whoever shares it keeps others from changing the catalog.
	catalogLock = "1667329121, 2"

	// revisionLock is taken by bumpCatalog. A write that depends on the revision of the catalog shares it before it reads the revision:
	// its statement would otherwise use the revision of when it began, however long it waits for its row.
	//
	// A change of the catalog takes the lock last, when it has locked all rows that it writes, and holds it for one statement. A write
	// that depends on the revision takes it first, and then waits for its row for at most shortLockTimeout. In a deadlock between the two,
	// the write gives up and begins anew when its row is free.
	revisionLock = "1667329121, 1"

	// shortLockTimeoutSQL makes a transaction wait for locks for no longer than shortLockTimeout.
	shortLockTimeoutSQL = "SET LOCAL lock_timeout = '" + shortLockTimeout + "'"
)

// lockCatalogShared takes a lock, shared with others, until the transaction ends, which is bound to the client. On SQLite, which has one
// writer at a time, it does nothing.
func (s *Store) lockCatalogShared(tx *gorm.DB, lock string, client uuid.UUID) error {
	sql, args := s.db.SharedLock(lock, client)
	if sql == "" {
		return nil
	}
	_, err := tx.Statement.ConnPool.ExecContext(tx.Statement.Context, sql, args...)
	return err
}

// lockedRevision is the revision of the catalog for a transaction that shares revisionLock. On a distributed database it is that of the
// machine of the client: others may learn of a revision a moment earlier or later.
func (s *Store) lockedRevision(tx *gorm.DB, client uuid.UUID) (revision int64, err error) {
	if !s.db.Distributed() {
		return catalogRevision(tx)
	}
	err = tx.Raw("SELECT revision FROM catalog_state, clients WHERE catalog_state.id = 1 AND clients.id = ?", client).Scan(&revision).Error
	return revision, err
}

// bumpCatalog raises the revision, so that every server reads the change; a nil change has them read the whole catalog. Each
// transaction that changes the catalog calls it once, after lockCatalog and after all that it writes to the catalog.
func bumpCatalog(tx *gorm.DB, change *changedEntity) error {
	if change != nil {
		now, err := catalogRevision(tx)
		if err != nil {
			return err
		}
		change.Revision = now + 1
		if err := tx.Where("revision <= ?", change.Revision-keptRevisions).Delete(&changedEntity{}).Error; err != nil {
			return err
		}
		if err := tx.Create(change).Error; err != nil {
			return err
		}
	}
	return tx.Exec("UPDATE catalog_state SET revision = revision + 1 WHERE id = 1").Error
}

// CreateCatalogApp adds an app to the catalog. ConflictError says that the name is taken, ReferenceError that the vendor or
// a category does not exist.
func (s *Store) CreateCatalogApp(ctx context.Context, fields Fields, categories []uuid.UUID, by Actor) (*CatalogApp, error) {
	now := s.now()
	name := fields.text(ColumnCanonicalName)
	app := CatalogApp{
		ID: uuid.New(), CanonicalName: *name, NameKey: casefold.Name(*name), Description: fields.text(ColumnDescription),
		DisplayColour: fields.text(ColumnDisplayColour), Logo: fields.text(ColumnLogo), Type: fields.text(ColumnType),
		VendorID: fields.id(ColumnVendorID), Version: 1, CreatedAt: now, UpdatedAt: now,
	}
	var created *CatalogApp
	err := s.inCatalogTx(ctx, "create catalog app", by, exists(&CatalogApp{}, app.ID), func(tx *gorm.DB) (*changedEntity, error) {
		if err := checkReferences(tx, fields, categories); err != nil {
			return nil, err
		}
		if err := asConflict(tx.Create(&app).Error, ColumnCanonicalName); err != nil {
			return nil, err
		}
		if err := linkCategories(tx, app.ID, categories); err != nil {
			return nil, err
		}
		var err error
		created, err = lockedCatalogApp(tx, app.ID)
		return changeOf(entityApp, app.ID), err
	})
	if err != nil {
		return nil, err
	}
	return created, nil
}

// UpdateCatalogApp sets fields of a catalog app, and its categories as a whole set unless that is nil. Nothing is written
// when nothing changes. Errors are those of CreateCatalogApp, NotFoundError and PreconditionError.
func (s *Store) UpdateCatalogApp(ctx context.Context, id uuid.UUID, fields Fields, categories *[]uuid.UUID, by Actor, match *IfMatch) (*CatalogApp, error) {
	var result *CatalogApp
	err := s.inCatalogTx(ctx, "update catalog app", by, nil, func(tx *gorm.DB) (*changedEntity, error) {
		seen, err := lockedCatalogApp(tx, id)
		if result = seen; err != nil {
			return nil, err
		}
		if err := match.Check(seen.ETag()); err != nil {
			return nil, err
		}
		var want []uuid.UUID
		if categories != nil {
			want = *categories
		}
		if err := checkReferences(tx, fields, want); err != nil {
			return nil, err
		}
		categoriesChanged := categories != nil && !sameSet(want, seen.Categories)
		if fields.alreadyIn(seen.fields()) && !categoriesChanged {
			return nil, nil //nolint:nilnil // nothing has changed
		}
		extra := nameKeyColumns(fields, ColumnCanonicalName)
		extra["updated_at"] = maxTime(s.now(), seen.UpdatedAt)
		// The row gets a new version even if only its categories change, which are no column.
		err = fields.update(tx.Where("id = ?", id), &CatalogApp{}, extra).Error
		if err := asConflict(err, ColumnCanonicalName); err != nil {
			return nil, err
		}
		if key, ok := extra["name_key"]; ok && key != seen.NameKey {
			// The apps of all clients repeat the name.
			all := tenant.CrossTenant(tx, "the apps of all clients repeat the name")
			if err := all.Model(&App{}).Where("catalog_app_id = ?", id).Updates(map[string]any{"name_key": key}).Error; err != nil {
				return nil, err
			}
		}
		if categoriesChanged {
			if err := tx.Where("catalog_app_id = ?", id).Delete(&CatalogAppCategory{}).Error; err != nil {
				return nil, err
			}
			if err := linkCategories(tx, id, want); err != nil {
				return nil, err
			}
		}
		if result, err = lockedCatalogApp(tx, id); err == nil && isDryRun(ctx) {
			result.Version, result.etag = seen.Version, seen.etag
		}
		return changeOf(entityApp, id), err
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// patchNamed changes a row of the catalog that has a name of its own, inside of a catalog transaction.
func (s *Store) patchNamed(key *gorm.DB, row any, have, fields Fields, tag string, match *IfMatch) (bool, error) {
	if err := match.Check(tag); err != nil {
		return false, err
	}
	if fields.alreadyIn(have) {
		return false, nil
	}
	extra := nameKeyColumns(fields, ColumnName)
	extra["updated_at"] = s.monotonicUpdatedAt(s.now())
	res := fields.patch(key.Clauses(clause.Returning{}), row, extra, 0)
	return res.RowsAffected == 1, asConflict(res.Error, ColumnName)
}

// deleteNamed deletes a vendor or a category, which it reads into row. InUseError says that catalog apps refer to it.
func (s *Store) deleteNamed(ctx context.Context, kind Kind, entity string, row interface{ ETag() string }, id uuid.UUID, by Actor, match *IfMatch) error {
	return s.inCatalogTx(ctx, "delete "+entity, by, nil, func(tx *gorm.DB) (*changedEntity, error) {
		err := tx.Where("id = ?", id).Take(row).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return nil, &NotFoundError{Kind: kind, ID: id}
		}
		if err != nil {
			return nil, err
		}
		if err := match.Check(row.ETag()); err != nil {
			return nil, err
		}
		err = tx.Where("id = ?", id).Delete(row).Error
		if foreignKeyViolation(err) {
			return nil, &InUseError{Kind: kind}
		}
		return changeOf(entity, id), err
	})
}

// DeleteCatalogApp takes an app out of the catalog. InUseError says that clients have it.
func (s *Store) DeleteCatalogApp(ctx context.Context, id uuid.UUID, by Actor, match *IfMatch) error {
	return s.inCatalogTx(ctx, "delete catalog app", by, nil, func(tx *gorm.DB) (*changedEntity, error) {
		seen, err := lockedCatalogApp(tx, id)
		if err != nil {
			return nil, err
		}
		if err := match.Check(seen.ETag()); err != nil {
			return nil, err
		}
		err = tx.Where("id = ?", id).Delete(&CatalogApp{}).Error
		if foreignKeyViolation(err) {
			return nil, &InUseError{Kind: KindCatalogApp}
		}
		if err != nil {
			return nil, err
		}
		return removalOf(seen)
	})
}

// lockedCatalogApp reads an entry in a catalog transaction, where no other transaction can change it.
func lockedCatalogApp(tx *gorm.DB, id uuid.UUID) (*CatalogApp, error) {
	var app CatalogApp
	err := tx.Where("id = ?", id).Take(&app).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, &NotFoundError{Kind: KindCatalogApp, ID: id}
	}
	if err != nil {
		return nil, err
	}
	if app.VendorID != nil {
		app.Vendor = &Vendor{}
		if err := tx.Where("id = ?", *app.VendorID).Take(app.Vendor).Error; err != nil {
			return nil, err
		}
	}
	var categories []Category
	err = tx.Where("id IN (SELECT category_id FROM catalog_app_categories WHERE catalog_app_id = ?)", id).
		Order("name_key").Find(&categories).Error
	app.Categories = append(app.Categories, categories...) // none is nil, as in the snapshot
	app.finish()
	return &app, err
}

// checkReferences returns ReferenceError for a field that refers to a missing vendor or category.
func checkReferences(tx *gorm.DB, fields Fields, categories []uuid.UUID) error {
	if vendor := fields.id(ColumnVendorID); vendor != nil {
		if err := tx.Where("id = ?", *vendor).Take(&Vendor{}).Error; errors.Is(err, gorm.ErrRecordNotFound) {
			return &ReferenceError{Field: string(ColumnVendorID)}
		} else if err != nil {
			return err
		}
	}
	if len(categories) == 0 {
		return nil
	}
	var found int64
	if err := whereIn(tx.Model(&Category{}), "id", categories).Count(&found).Error; err != nil {
		return err
	}
	if int(found) != len(distinct(categories)) {
		return &ReferenceError{Field: "category_ids"}
	}
	return nil
}

func linkCategories(tx *gorm.DB, id uuid.UUID, categories []uuid.UUID) error {
	var links []CatalogAppCategory
	for _, c := range distinct(categories) {
		links = append(links, CatalogAppCategory{CatalogAppID: id, CategoryID: c})
	}
	return insertNew(tx, links)
}

func sameSet(ids []uuid.UUID, have []Category) bool {
	want := distinct(ids)
	if len(want) != len(have) {
		return false
	}
	for _, c := range have {
		if !slices.Contains(want, c.ID) {
			return false
		}
	}
	return true
}

// distinct returns the ids without repetitions, in the order of their bytes.
func distinct(ids []uuid.UUID) []uuid.UUID {
	sorted := slices.Clone(ids)
	slices.SortFunc(sorted, compareIDs)
	return slices.Compact(sorted)
}

// asConflict turns the violation of a unique key into a ConflictError for the field.
func asConflict(err error, field Column) error {
	if uniqueViolation(err) {
		return &ConflictError{Field: field}
	}
	return err
}

var patternListing = listing[URLPattern]{
	Keys: map[Column]sortKey[URLPattern]{
		ColumnPattern:   keyset.TextKey("name_key", func(p URLPattern) string { return p.NameKey }),
		ColumnCreatedAt: keyset.TimeKey("created_at", func(p URLPattern) time.Time { return p.CreatedAt }),
	},
	TieColumn:       "id",
	TieBreaker:      func(p URLPattern) string { return p.ID.String() },
	ValidTieBreaker: keyset.IsID,
}

var aliasListing = listing[DesktopAlias]{
	Keys: map[Column]sortKey[DesktopAlias]{
		ColumnAlias:     keyset.TextKey("name_key", func(a DesktopAlias) string { return a.NameKey }),
		ColumnCreatedAt: keyset.TimeKey("created_at", func(a DesktopAlias) time.Time { return a.CreatedAt }),
	},
	TieColumn:       "id",
	TieBreaker:      func(a DesktopAlias) string { return a.ID.String() },
	ValidTieBreaker: keyset.IsID,
}

// ListURLPatterns returns one page of a catalog app's URL patterns that have the query in them, or NotFoundError.
func (s *Store) ListURLPatterns(ctx context.Context, id uuid.UUID, query string, p Page) (List[URLPattern], error) {
	return listMatchers(ctx, s, patternListing, id, query, p)
}

// ListDesktopAliases returns one page of a catalog app's desktop aliases that have the query in them, or NotFoundError.
func (s *Store) ListDesktopAliases(ctx context.Context, id uuid.UUID, query string, p Page) (List[DesktopAlias], error) {
	return listMatchers(ctx, s, aliasListing, id, query, p)
}

// listMatchers reads the whole list, of which there are at most a thousand rows: its tag and the page are of one moment.
func listMatchers[T matcher](ctx context.Context, s *Store, l listing[T], id uuid.UUID, query string, p Page) (List[T], error) {
	if err := l.Check(p); err != nil {
		return List[T]{}, err
	}
	if _, err := s.GetCatalogApp(ctx, id); err != nil {
		return List[T]{}, err
	}
	var all []T
	if err := s.reader.WithContext(ctx).Where("catalog_app_id = ?", id).Find(&all).Error; err != nil {
		return List[T]{}, s.translate("list what an app is recognized by", err)
	}
	part := casefold.Name(query)
	list, err := l.PageInMemory(l.Sorted(all), p, func(row T) bool { return strings.Contains(row.key(), part) })
	list.ETag = matchersETag(all)
	return list, err
}

// matcher is a text by which a catalog app is recognized: a URL pattern or a desktop alias.
type matcher interface {
	id() uuid.UUID
	app() uuid.UUID // the catalog app that it is of
	text() string
	key() string // the text, folded
}

func (p URLPattern) id() uuid.UUID  { return p.ID }
func (p URLPattern) app() uuid.UUID { return p.CatalogAppID }
func (p URLPattern) text() string   { return p.Pattern }
func (p URLPattern) key() string    { return p.NameKey }

func (a DesktopAlias) id() uuid.UUID  { return a.ID }
func (a DesktopAlias) app() uuid.UUID { return a.CatalogAppID }
func (a DesktopAlias) text() string   { return a.Alias }
func (a DesktopAlias) key() string    { return a.NameKey }

// ReplaceURLPatterns gives a catalog app these URL patterns and no others. What stays keeps its id and its time. A text
// given twice counts once. NotFoundError when there is no such catalog app; PreconditionError by the tag of the list.
func (s *Store) ReplaceURLPatterns(ctx context.Context, id uuid.UUID, patterns []string, by Actor, match *IfMatch) error {
	return replaceMatchers(ctx, s, id, patterns, by, match, func(text string) URLPattern {
		return URLPattern{ID: uuid.New(), CatalogAppID: id, Pattern: text, NameKey: casefold.Name(text), CreatedAt: s.now()}
	})
}

// ReplaceDesktopAliases gives a catalog app these desktop aliases and no others, as ReplaceURLPatterns does.
func (s *Store) ReplaceDesktopAliases(ctx context.Context, id uuid.UUID, aliases []string, by Actor, match *IfMatch) error {
	return replaceMatchers(ctx, s, id, aliases, by, match, func(text string) DesktopAlias {
		return DesktopAlias{ID: uuid.New(), CatalogAppID: id, Alias: text, NameKey: casefold.Name(text), CreatedAt: s.now()}
	})
}

func replaceMatchers[T matcher](ctx context.Context, s *Store, id uuid.UUID, texts []string, by Actor, match *IfMatch, row func(string) T) error {
	return s.inCatalogTx(ctx, "replace what an app is recognized by", by, nil, func(tx *gorm.DB) (*changedEntity, error) {
		if _, err := lockedCatalogApp(tx, id); err != nil {
			return nil, err
		}
		var have []T
		if err := tx.Where("catalog_app_id = ?", id).Find(&have).Error; err != nil {
			return nil, err
		}
		if err := match.Check(matchersETag(have)); err != nil {
			return nil, err
		}
		present := map[string]bool{}
		var removed []uuid.UUID
		for _, row := range have {
			present[row.text()] = true
			if !slices.Contains(texts, row.text()) {
				removed = append(removed, row.id())
			}
		}
		if len(removed) > 0 {
			if err := whereIn(tx, "id", removed).Delete(new(T)).Error; err != nil {
				return nil, err
			}
		}
		var added []T
		for _, text := range texts {
			if !present[text] {
				present[text] = true
				added = append(added, row(text))
			}
		}
		if len(removed)+len(added) == 0 {
			return nil, nil //nolint:nilnil // nothing has changed
		}
		return changeOf(entityApp, id), insertNew(tx, added) // the entry does not show these texts: its tag stays
	})
}

// matchersETag is the tag of a whole list of texts, whatever order it was read in. It has the keys too: when names are folded anew,
// rows keep their ids and change places.
func matchersETag[T matcher](rows []T) string {
	var b []byte
	for _, row := range slices.SortedFunc(slices.Values(rows), func(x, y T) int { return compareIDs(x.id(), y.id()) }) {
		id := row.id()
		b = append(b, id[:]...)
		b = append(append(b, row.text()...), 0)
		b = append(append(b, row.key()...), 0)
	}
	return etag.OfText(b)
}
