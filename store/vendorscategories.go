package store

import (
	"context"
	"errors"
	"strings"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/clientapps/clientapps/store/casefold"
	"github.com/clientapps/clientapps/store/etag"
	"github.com/clientapps/clientapps/store/keyset"
)

// ETag is an opaque text that changes with anything the vendor shows.
func (v Vendor) ETag() string { return etag.OfVersion(v.Version) }

var vendorListing = listing[Vendor]{
	Keys: map[Column]sortKey[Vendor]{ColumnName: keyset.TextKey("name_key", func(v Vendor) string { return v.NameKey })},
	Tie:  "id",
	Of:   func(v Vendor) string { return v.ID.String() },
	Tied: keyset.IsID,
}

// ListVendors returns one page of the vendors whose name has the query in it.
func (s *Store) ListVendors(ctx context.Context, query string, p Page) (List[Vendor], error) {
	catalog, err := s.refreshCatalog(ctx)
	if err != nil {
		return List[Vendor]{}, err
	}
	part := casefold.Name(query)
	return tagged(vendorListing, catalog.byVendor, p, func(v Vendor) bool { return strings.Contains(v.NameKey, part) })
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
		return changed(entityVendor, vendor.ID), taken(tx.Create(&vendor).Error, ColumnName)
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
		wrote, err := s.patchNamed(tx.Where("id = ?", id), &vendor, vendor.fields(), fields, vendor.ETag(), match)
		if err != nil || !wrote {
			return nil, err
		}
		return changed(entityVendor, id), nil
	})
	return vendor, err
}

// ETag is an opaque text that changes with anything the category shows.
func (c Category) ETag() string { return etag.OfVersion(c.Version) }

var categoryListing = listing[Category]{
	Keys: map[Column]sortKey[Category]{ColumnName: keyset.TextKey("name_key", func(c Category) string { return c.NameKey })},
	Tie:  "id",
	Of:   func(c Category) string { return c.ID.String() },
	Tied: keyset.IsID,
}

// ListCategories returns one page of the categories whose name has the query in it.
func (s *Store) ListCategories(ctx context.Context, query string, p Page) (List[Category], error) {
	catalog, err := s.refreshCatalog(ctx)
	if err != nil {
		return List[Category]{}, err
	}
	part := casefold.Name(query)
	return tagged(categoryListing, catalog.byCategory, p, func(c Category) bool { return strings.Contains(c.NameKey, part) })
}

// CreateCategory adds a category. ConflictError says that the name is taken.
func (s *Store) CreateCategory(ctx context.Context, fields Fields, by Actor) (Category, error) {
	now := s.now()
	name := fields.text(ColumnName)
	category := Category{
		ID: uuid.New(), Name: *name, NameKey: casefold.Name(*name), Version: 1, CreatedAt: now, UpdatedAt: now,
	}
	err := s.inCatalogTx(ctx, "create category", by, exists(&Category{}, category.ID), func(tx *gorm.DB) (*changedEntity, error) {
		return changed(entityCategory, category.ID), taken(tx.Create(&category).Error, ColumnName)
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
		wrote, err := s.patchNamed(tx.Where("id = ?", id), &category, category.fields(), fields, category.ETag(), match)
		if err != nil || !wrote {
			return nil, err
		}
		return changed(entityCategory, id), nil
	})
	return category, err
}
