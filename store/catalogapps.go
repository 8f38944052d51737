package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/clientapps/clientapps/store/casefold"
	"github.com/clientapps/clientapps/store/tenant"
)

// showWithin bounds how long a change of the catalog waits for the snapshot of this server to have it.
const showWithin = time.Second

// inCatalogTx runs one change of the catalog; work returns what it changed, or nil, which rolls the transaction back. Changes of all
// servers run one after the other, since each locks the row that counts them. When inCatalogTx returns, the snapshot of this server has
// the change, unless that took longer than showWithin. The change is committed in either case.
func (s *Store) inCatalogTx(ctx context.Context, doing string, by Actor, wrote commitProbe, work func(tx *gorm.DB) (*changedEntity, error)) error {
	var change *changedEntity
	err := s.inTx(ctx, catalogShare, wrote, func(tx *gorm.DB) error {
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
		s.catalog.Show(ctx, showWithin)
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

// lockCatalogShared keeps others from changing the catalog until the transaction, which only relies on it, ends.
func lockCatalogShared(tx *gorm.DB) error {
	var revision int64
	return tx.Table("catalog_state").Clauses(clause.Locking{Strength: "SHARE"}).Where("id = 1").
		Select("revision").Take(&revision).Error
}

// A write that depends on the revision of the catalog takes a shared advisory lock before it reads the revision: its statement would
// otherwise use the revision of when it began, however long it waits for its row. A change of the revision takes the lock alone. A
// lock of the row would not do: a steady stream of shared locks can keep out one that is exclusive.
//
// A change of the catalog takes the lock last, when it has locked all rows that it writes, and holds it for two statements. A write
// that depends on the revision takes it first, and then waits for its row for at most shortLockWait. In a deadlock between the two,
// the write gives up and begins anew when its row is free.
const (
	catalogLock       = "1667329121, 1" // no other lock of this database has the number
	holdCatalogAlone  = "SELECT pg_advisory_xact_lock(" + catalogLock + ")"
	holdCatalogShared = "SELECT pg_advisory_xact_lock_shared(" + catalogLock + ")"

	// holdCatalogBriefly is holdCatalogShared for a transaction that waits for locks for no longer than shortLockWait.
	holdCatalogBriefly = "SELECT set_config('lock_timeout', '" + shortLockWait + "', true), pg_advisory_xact_lock_shared(" + catalogLock + ")"
)

// holdCatalog takes a lock of PostgreSQL that ends with the transaction. SQLite has one writer at a time.
func holdCatalog(tx *gorm.DB, lock string) error {
	if tx.Name() != "postgres" {
		return nil
	}
	return tx.Exec(lock).Error
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
	if err := holdCatalog(tx, holdCatalogAlone); err != nil {
		return err
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
	var made *CatalogApp
	err := s.inCatalogTx(ctx, "create catalog app", by, exists(&CatalogApp{}, app.ID), func(tx *gorm.DB) (*changedEntity, error) {
		if err := checkReferences(tx, fields, categories); err != nil {
			return nil, err
		}
		if err := taken(tx.Create(&app).Error, ColumnCanonicalName); err != nil {
			return nil, err
		}
		if err := linkCategories(tx, app.ID, categories); err != nil {
			return nil, err
		}
		var err error
		made, err = lockedCatalogApp(tx, app.ID)
		return changed(entityApp, app.ID), err
	})
	if err != nil {
		return nil, err
	}
	return made, nil
}

// UpdateCatalogApp sets fields of a catalog app, and its categories as a whole set unless that is nil. Nothing is written
// when nothing changes. Errors are those of CreateCatalogApp, NotFoundError and PreconditionError.
func (s *Store) UpdateCatalogApp(ctx context.Context, id uuid.UUID, fields Fields, categories *[]uuid.UUID, by Actor, match *IfMatch) (*CatalogApp, error) {
	var left *CatalogApp
	err := s.inCatalogTx(ctx, "update catalog app", by, nil, func(tx *gorm.DB) (*changedEntity, error) {
		seen, err := lockedCatalogApp(tx, id)
		if left = seen; err != nil {
			return nil, err
		}
		if err := match.Check(seen.Tag()); err != nil {
			return nil, err
		}
		var want []uuid.UUID
		if categories != nil {
			want = *categories
		}
		if err := checkReferences(tx, fields, want); err != nil {
			return nil, err
		}
		recategorized := categories != nil && !sameSet(want, seen.Categories)
		if fields.in(seen.fields()) && !recategorized {
			return nil, nil //nolint:nilnil // nothing has changed
		}
		also := nameKey(fields, ColumnCanonicalName)
		also["updated_at"] = later(s.now(), seen.UpdatedAt)
		// Its categories are no field of the row, which has a new version with them alone, too.
		err = fields.update(tx.Where("id = ?", id), &CatalogApp{}, also).Error
		if err := taken(err, ColumnCanonicalName); err != nil {
			return nil, err
		}
		if key, ok := also["name_key"]; ok && key != seen.NameKey {
			// The apps of all clients repeat the name.
			all := tenant.CrossTenant(tx, "the apps of all clients repeat the name")
			if err := all.Model(&App{}).Where("catalog_app_id = ?", id).Updates(map[string]any{"name_key": key}).Error; err != nil {
				return nil, err
			}
		}
		if recategorized {
			if err := tx.Where("catalog_app_id = ?", id).Delete(&CatalogAppCategory{}).Error; err != nil {
				return nil, err
			}
			if err := linkCategories(tx, id, want); err != nil {
				return nil, err
			}
		}
		if left, err = lockedCatalogApp(tx, id); err == nil && isDryRun(ctx) {
			left.Version, left.tag = seen.Version, seen.tag
		}
		return changed(entityApp, id), err
	})
	if err != nil {
		return nil, err
	}
	return left, nil
}

// patchNamed changes a row of the catalog that has a name of its own, inside of a catalog transaction.
func (s *Store) patchNamed(key *gorm.DB, row any, have, fields Fields, tag string, match *IfMatch) (bool, error) {
	if err := match.Check(tag); err != nil {
		return false, err
	}
	if fields.in(have) {
		return false, nil
	}
	also := nameKey(fields, ColumnName)
	also["updated_at"] = s.notEarlier(s.now())
	res := fields.patch(key.Clauses(clause.Returning{}), row, also, 0)
	return res.RowsAffected == 1, taken(res.Error, ColumnName)
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
		return changed(entity, id), err
	})
}

// DeleteCatalogApp takes an app out of the catalog. InUseError says that clients have it.
func (s *Store) DeleteCatalogApp(ctx context.Context, id uuid.UUID, by Actor, match *IfMatch) error {
	return s.inCatalogTx(ctx, "delete catalog app", by, nil, func(tx *gorm.DB) (*changedEntity, error) {
		seen, err := lockedCatalogApp(tx, id)
		if err != nil {
			return nil, err
		}
		if err := match.Check(seen.Tag()); err != nil {
			return nil, err
		}
		err = tx.Where("id = ?", id).Delete(&CatalogApp{}).Error
		if foreignKeyViolation(err) {
			return nil, &InUseError{Kind: KindCatalogApp}
		}
		if err != nil {
			return nil, err
		}
		return removedApp(seen)
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

// taken turns the violation of a unique key into a ConflictError for the field.
func taken(err error, field Column) error {
	if uniqueViolation(err) {
		return &ConflictError{Field: field}
	}
	return err
}
