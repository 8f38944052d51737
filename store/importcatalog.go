package store

import (
	"context"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/clientapps/clientapps/store/casefold"
	"github.com/clientapps/clientapps/store/importspool"
)

// CatalogRow is a catalog app as an import gives it: by names. What a row does not give stays as it is.
type CatalogRow struct {
	Line           int
	Fields         Fields   // canonical_name and other texts; nil clears one
	Vendor         Fields   // name and url; empty for no vendor, nil keeps it
	Categories     []string // the whole set; nil keeps it, here and in the next two
	URLPatterns    []string
	DesktopAliases []string
}

func (r CatalogRow) name() string { return *r.Fields.text(ColumnCanonicalName) }

func (r CatalogRow) spooled() importspool.Row[CatalogRow] {
	row := importspool.Row[CatalogRow]{Line: r.Line, Text: r.name(), Key: casefold.Name(r.name()), Body: r}
	if vendor := r.Vendor.text(ColumnName); vendor != nil {
		row.Group = new(casefold.Name(*vendor))
		if url, given := r.Vendor[ColumnURL]; given {
			text, _ := url.(string) // "" clears it
			row.Value = &text
		}
	}
	return row
}

// ImportCatalog brings the catalog to what the rows say, all of them or none. Apps, vendors and categories are known by
// their folded names, and missing ones are made. What is as it should be is not written: the same rows again change
// nothing. ImportError says which rows are wrong, ImportTimeError that it took longer than others may have to wait.
func (s *Store) ImportCatalog(ctx context.Context, rows iter.Seq2[CatalogRow, error], by Actor, opts ImportOptions) (ImportResult, error) {
	var m catalogImport
	err := importRows(ctx, s, "import catalog", rows, opts, importSteps[CatalogRow]{
		share: catalogShare,
		lock:  func(tx *gorm.DB) error { return s.lockCatalog(tx, by) },
		begin: func(*gorm.DB) error {
			m = catalogImport{now: s.now()}
			return nil
		},
		write: m.merge,
		end: func(tx *gorm.DB) error {
			if !m.wrote {
				return errUnchanged
			}
			return bumpCatalog(tx, nil)
		},
	})
	if err != nil {
		return ImportResult{}, err
	}
	if !isDryRun(ctx) {
		s.catalog.RefreshWithin(ctx, showTimeout)
	}
	return m.result, nil
}

// catalogImport writes the rows of one import. The catalog is locked: what a batch reads stays so until it is written.
type catalogImport struct {
	now    time.Time // when the catalog was locked
	result ImportResult
	wrote  bool // something has changed
}

// importTarget is a row and the catalog app that it describes.
type importTarget struct {
	row     CatalogRow
	app     *CatalogApp
	created bool
	changed bool
}

func (m *catalogImport) merge(tx *gorm.DB, b importspool.Batch[CatalogRow]) error {
	vendors, err := m.vendors(tx, b)
	if err != nil {
		return err
	}
	categories, err := m.categories(tx, b.Rows)
	if err != nil {
		return err
	}
	targets, err := m.targets(tx, b.Rows)
	if err != nil {
		return err
	}
	if err := m.apps(tx, targets, vendors, categories); err != nil {
		return err
	}
	patterns := func(r CatalogRow) []string { return r.URLPatterns }
	if err := mergeMatchers(tx, targets, patterns, func(app uuid.UUID, text string) URLPattern {
		return URLPattern{ID: newID(), CatalogAppID: app, Pattern: text, NameKey: casefold.Name(text), CreatedAt: m.now}
	}); err != nil {
		return err
	}
	aliases := func(r CatalogRow) []string { return r.DesktopAliases }
	if err := mergeMatchers(tx, targets, aliases, func(app uuid.UUID, text string) DesktopAlias {
		return DesktopAlias{ID: newID(), CatalogAppID: app, Alias: text, NameKey: casefold.Name(text), CreatedAt: m.now}
	}); err != nil {
		return err
	}
	for _, t := range targets {
		m.wrote = m.wrote || t.changed
		switch {
		case t.created:
			m.result.Created++
		case t.changed:
			m.result.Updated++
		default:
			m.result.Unchanged++
		}
	}
	return nil
}

// targets finds the catalog apps that the rows are about, each with its categories, and makes up the missing ones.
func (m *catalogImport) targets(tx *gorm.DB, rows []CatalogRow) ([]*importTarget, error) {
	targets, keys := make([]*importTarget, len(rows)), make([]string, len(rows))
	for i, r := range rows {
		targets[i], keys[i] = &importTarget{row: r}, casefold.Name(r.name())
	}
	var apps []*CatalogApp
	if err := whereIn(tx, "name_key", keys).Find(&apps).Error; err != nil {
		return nil, err
	}
	byKey, byID, ids := map[string]*CatalogApp{}, map[uuid.UUID]*CatalogApp{}, []uuid.UUID{}
	for _, app := range apps {
		byKey[app.NameKey], byID[app.ID], ids = app, app, append(ids, app.ID)
	}
	var links []CatalogAppCategory
	if err := whereIn(tx, "catalog_app_id", ids).Find(&links).Error; err != nil {
		return nil, err
	}
	for _, link := range links {
		app := byID[link.CatalogAppID]
		app.Categories = append(app.Categories, Category{ID: link.CategoryID})
	}
	for i, t := range targets {
		if t.app = byKey[keys[i]]; t.app == nil {
			t.app, t.created = &CatalogApp{ID: newID(), NameKey: keys[i], CreatedAt: m.now}, true
		}
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
			fields[ColumnVendorID] = vendors[casefold.Name(*name)]
		} else if t.row.Vendor != nil {
			fields[ColumnVendorID] = nil
		}
		want := make([]uuid.UUID, len(t.row.Categories))
		for i, name := range t.row.Categories {
			want[i] = categories[casefold.Name(name)]
		}
		categoriesChanged := t.row.Categories != nil && !sameSet(want, t.app.Categories)
		if t.changed = t.created || categoriesChanged || !fields.alreadyIn(t.app.fields()); !t.changed {
			continue
		}
		t.app.set(fields)
		t.app.Version++
		t.app.UpdatedAt = maxTime(m.now, t.app.UpdatedAt)
		apps = append(apps, *t.app)
		if categoriesChanged {
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

// vendors returns the ids of the vendors that the rows name, by folded name. New ones are made as the first row spells
// them; what the whole import says of a vendor's URL is written with the first batch that names the vendor.
func (m *catalogImport) vendors(tx *gorm.DB, b importspool.Batch[CatalogRow]) (map[string]uuid.UUID, error) {
	names := map[string]string{}
	for _, r := range b.Rows {
		if name := r.Vendor.text(ColumnName); name != nil {
			addName(names, *name)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	var vendors []*Vendor
	keys := slices.Sorted(maps.Keys(names))
	if err := whereIn(tx, "name_key", keys).Find(&vendors).Error; err != nil {
		return nil, err
	}
	have := make(map[string]*Vendor, len(vendors))
	for _, v := range vendors {
		have[v.NameKey] = v
	}
	var write []Vendor
	ids := make(map[string]uuid.UUID, len(names))
	for _, key := range keys {
		vendor, known := have[key]
		if !known {
			vendor = &Vendor{ID: newID(), Name: names[key], NameKey: key, CreatedAt: m.now}
		}
		ids[key] = vendor.ID
		fields := Fields{}
		if url, given := b.Values[key]; given {
			fields[ColumnURL] = nilIfEmpty(url)
		}
		switch {
		case !known:
			m.result.VendorsCreated++
		case fields.alreadyIn(vendor.fields()):
			continue
		default:
			m.result.VendorsUpdated++
		}
		if _, given := fields[ColumnURL]; given {
			vendor.URL = fields.text(ColumnURL)
		}
		vendor.Version++
		vendor.UpdatedAt = maxTime(m.now, vendor.UpdatedAt)
		write = append(write, *vendor)
	}
	if len(write) == 0 {
		return ids, nil
	}
	m.wrote = true
	return ids, upsert(tx, write, "url")
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
	for part := range slices.Chunk(keys, importspool.BatchRows) {
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
	m.wrote = m.wrote || len(write) > 0
	return ids, insertNew(tx, write)
}

// addName keeps the first spelling of a name.
func addName(names map[string]string, name string) {
	if key := casefold.Name(name); names[key] == "" {
		names[key] = name
	}
}

func nilIfEmpty(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// mergeMatchers gives catalog apps the texts that their rows say and no others. What stays keeps its id and its time. The
// apps do not show these texts: their versions stay.
func mergeMatchers[T matcher](tx *gorm.DB, targets []*importTarget, want func(CatalogRow) []string, row func(app uuid.UUID, text string) T) error {
	var apps []uuid.UUID
	for _, t := range targets {
		if want(t.row) != nil {
			apps = append(apps, t.app.ID)
		}
	}
	if len(apps) == 0 {
		return nil
	}
	var rows []T
	if err := whereIn(tx, "catalog_app_id", apps).Find(&rows).Error; err != nil {
		return err
	}
	have := map[uuid.UUID]map[string]uuid.UUID{}
	for _, row := range rows {
		if have[row.app()] == nil {
			have[row.app()] = map[string]uuid.UUID{}
		}
		have[row.app()][row.text()] = row.id()
	}
	var removed []uuid.UUID
	var added []T
	for _, t := range targets {
		texts := want(t.row)
		if texts == nil {
			continue
		}
		wanted := map[string]bool{}
		for _, text := range texts {
			if _, present := have[t.app.ID][text]; !present && !wanted[text] {
				added = append(added, row(t.app.ID, text))
				t.changed = true
			}
			wanted[text] = true
		}
		for text, id := range have[t.app.ID] {
			if !wanted[text] {
				removed = append(removed, id)
				t.changed = true
			}
		}
	}
	for part := range slices.Chunk(removed, importspool.BatchRows) {
		if err := whereIn(tx, "id", part).Delete(new(T)).Error; err != nil {
			return err
		}
	}
	return insertNew(tx, added)
}

// newID is an id for one of many rows written at once: ids that follow each other keep their places in an index together.
func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// upsert writes rows of the catalog whole: those that are there get the columns, a new version and a new time.
func upsert[T any](tx *gorm.DB, rows []T, columns ...string) error {
	return tx.Clauses(clause.OnConflict{
		Columns: []clause.Column{{Name: "id"}}, DoUpdates: clause.AssignmentColumns(append(columns, "version", "updated_at")),
	}).CreateInBatches(rows, importspool.BatchRows).Error
}
