package store

import (
	"maps"
	"slices"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// vendors returns the ids of the vendors that the rows name, by folded name. New ones are made as the first row spells
// them; what the whole import says of a vendor's URL is written with the first batch that names the vendor.
func (m *catalogImport) vendors(tx *gorm.DB, b batch[CatalogRow]) (map[string]uuid.UUID, error) {
	names := map[string]string{}
	for _, r := range b.rows {
		if name := r.Vendor.text(ColumnName); name != nil {
			addName(names, *name)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	var vendors []*Vendor
	if err := tx.Where("name_key IN (?)", b.column(tx, "vendor_key")).Find(&vendors).Error; err != nil {
		return nil, err
	}
	have := make(map[string]*Vendor, len(vendors))
	for _, v := range vendors {
		have[v.NameKey] = v
	}
	given, err := givenURLs(tx, b)
	if err != nil {
		return nil, err
	}
	var write []Vendor
	ids := make(map[string]uuid.UUID, len(names))
	for _, key := range slices.Sorted(maps.Keys(names)) {
		vendor, known := have[key]
		if !known {
			vendor = &Vendor{ID: newID(), Name: names[key], NameKey: key, CreatedAt: m.now}
		}
		ids[key] = vendor.ID
		fields := given[key]
		switch {
		case !known:
			m.result.VendorsCreated++
		case fields.in(vendor.fields()):
			continue
		default:
			m.result.VendorsUpdated++
		}
		if fields != nil {
			vendor.URL = fields.text(ColumnURL)
		}
		vendor.Version++
		vendor.UpdatedAt = later(m.now, vendor.UpdatedAt)
		write = append(write, *vendor)
	}
	if len(write) == 0 {
		return ids, nil
	}
	m.shown = true
	return ids, upsert(tx, write, "url")
}

// givenURLs reads what the whole import says of these vendors' URLs: one row does not contradict another.
func givenURLs(tx *gorm.DB, b batch[CatalogRow]) (map[string]Fields, error) {
	var rows []stagedRow
	err := tx.Table("import_vendors").Where("vendor_key IN (?)", b.column(tx, "vendor_key")).Find(&rows).Error
	if err != nil {
		return nil, err
	}
	given := make(map[string]Fields, len(rows))
	for _, row := range rows {
		given[*row.VendorKey] = Fields{ColumnURL: nil}
		if *row.VendorURL != "" {
			given[*row.VendorKey][ColumnURL] = *row.VendorURL
		}
	}
	return given, nil
}

// categories returns the ids of the categories that the rows name, by folded name, and makes the missing ones.
func (m *catalogImport) categories(tx *gorm.DB, rows []CatalogRow) (map[string]uuid.UUID, error) {
	names := map[string]string{}
	for _, r := range rows {
		for _, name := range r.Categories {
			addName(names, name)
		}
	}
	keys := slices.Sorted(maps.Keys(names))
	ids := make(map[string]uuid.UUID, len(keys))
	for part := range slices.Chunk(keys, batchRows) {
		var have []Category
		if err := whereIn(tx, "name_key", part).Find(&have).Error; err != nil {
			return nil, err
		}
		for _, category := range have {
			ids[category.NameKey] = category.ID
		}
	}
	var write []Category
	for _, key := range keys {
		if _, known := ids[key]; known {
			continue
		}
		category := Category{ID: newID(), Name: names[key], NameKey: key, Version: 1, CreatedAt: m.now, UpdatedAt: m.now}
		ids[key] = category.ID
		write = append(write, category)
	}
	m.result.CategoriesCreated += len(write)
	m.shown = m.shown || len(write) > 0
	return ids, insertNew(tx, write)
}

// addName keeps the first spelling of a name.
func addName(names map[string]string, name string) {
	if key := FoldName(name); names[key] == "" {
		names[key] = name
	}
}
