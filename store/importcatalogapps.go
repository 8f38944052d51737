package store

import (
	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// targets finds the catalog apps that the rows are about, each with its categories, and makes up the missing ones.
func (m *catalogImport) targets(tx *gorm.DB, b batch[CatalogRow]) ([]*importTarget, error) {
	var apps []*CatalogApp
	var links []CatalogAppCategory
	if err := tx.Where("name_key IN (?)", b.column(tx, "name_key")).Find(&apps).Error; err != nil {
		return nil, err
	}
	if err := tx.Where("catalog_app_id IN (?)", b.entries(tx)).Find(&links).Error; err != nil {
		return nil, err
	}
	byKey, byID := map[string]*CatalogApp{}, map[uuid.UUID]*CatalogApp{}
	for _, app := range apps {
		byKey[app.NameKey], byID[app.ID] = app, app
	}
	for _, link := range links {
		app := byID[link.CatalogAppID]
		app.Categories = append(app.Categories, Category{ID: link.CategoryID})
	}
	targets := make([]*importTarget, len(b.rows))
	for i, r := range b.rows {
		key := FoldName(r.name())
		app, known := byKey[key]
		if !known {
			app = &CatalogApp{ID: newID(), NameKey: key, CreatedAt: m.now}
		}
		targets[i] = &importTarget{row: r, app: app, created: !known}
	}
	return targets, nil
}

// apps writes the catalog apps that are new or not as their rows say, and their categories.
func (m *catalogImport) apps(tx *gorm.DB, targets []*importTarget, vendors, categories map[string]uuid.UUID) error {
	var apps []CatalogApp
	var relinked []uuid.UUID
	var links []CatalogAppCategory
	for _, t := range targets {
		fields := t.row.Fields
		if name := t.row.Vendor.text(ColumnName); name != nil {
			fields[ColumnVendorID] = vendors[FoldName(*name)]
		} else if t.row.Vendor != nil {
			fields[ColumnVendorID] = nil
		}
		want := make([]uuid.UUID, len(t.row.Categories))
		for i, name := range t.row.Categories {
			want[i] = categories[FoldName(name)]
		}
		recategorized := t.row.Categories != nil && !sameSet(want, t.app.Categories)
		if t.changed = t.created || recategorized || !fields.in(t.app.fields()); !t.changed {
			continue
		}
		t.app.set(fields)
		t.app.Version++
		t.app.UpdatedAt = later(m.now, t.app.UpdatedAt)
		apps = append(apps, *t.app)
		if recategorized {
			if !t.created {
				relinked = append(relinked, t.app.ID)
			}
			for _, id := range distinct(want) {
				links = append(links, CatalogAppCategory{CatalogAppID: t.app.ID, CategoryID: id})
			}
		}
	}
	if len(apps) == 0 {
		return nil
	}
	m.shown = true
	if err := upsert(tx, apps, "canonical_name", "description", "display_colour", "logo", "type", "vendor_id"); err != nil {
		return err
	}
	if len(relinked) > 0 {
		if err := whereIn(tx, "catalog_app_id", relinked).Delete(&CatalogAppCategory{}).Error; err != nil {
			return err
		}
	}
	return insertNew(tx, links)
}

// set gives the catalog app the values of a patch. The key of its name is not touched.
func (a *CatalogApp) set(f Fields) {
	if name := f.text(ColumnCanonicalName); name != nil {
		a.CanonicalName = *name
	}
	for column, field := range map[Column]**string{
		ColumnDescription: &a.Description, ColumnDisplayColour: &a.DisplayColour, ColumnLogo: &a.Logo, ColumnType: &a.Type,
	} {
		if _, given := f[column]; given {
			*field = f.text(column)
		}
	}
	if _, given := f[ColumnVendorID]; given {
		a.VendorID = f.id(ColumnVendorID)
	}
}

// newID is an id for one of many rows written at once: ids that follow each other keep their places in an index together.
func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// upsert writes rows of the catalog whole: those that are there get the columns, a new version and a new time.
func upsert[T any](tx *gorm.DB, rows []T, columns ...string) error {
	return tx.Clauses(clause.OnConflict{
		Columns: []clause.Column{{Name: "id"}}, DoUpdates: clause.AssignmentColumns(append(columns, "version", "updated_at")),
	}).CreateInBatches(rows, batchRows).Error
}
