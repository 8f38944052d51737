package store

import (
	"context"
	"fmt"
	"iter"
	"time"

	"gorm.io/gorm"
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

func (r CatalogRow) staged() stagedRow {
	row := stagedRow{Line: r.Line, Name: r.name(), NameKey: FoldName(r.name())}
	if vendor := r.Vendor.text(ColumnName); vendor != nil {
		key := FoldName(*vendor)
		row.VendorKey = &key
		if url, given := r.Vendor[ColumnURL]; given {
			text, _ := url.(string)
			row.VendorURL = &text
		}
	}
	return row
}

// ImportCatalog brings the catalog to what the rows say, all of them or none. Apps, vendors and categories are known by
// their folded names, and missing ones are made. What is as it should be is not written: the same rows again change
// nothing. ImportError says which rows are wrong, ImportTimeError that it took longer than others may have to wait.
func (s *Store) ImportCatalog(ctx context.Context, rows iter.Seq2[CatalogRow, error], opts ImportOptions) (ImportResult, error) {
	var m catalogImport
	err := importRows(ctx, s, "import catalog", rows, opts, importSteps[CatalogRow]{
		share: catalogShare,
		prepare: func(tx *gorm.DB, staged *staging) error {
			if err := s.lockFirst(tx, staged, func() error { return lockCatalog(tx, "UPDATE") }); err != nil {
				return err
			}
			m.now = s.now()
			return staged.checkVendors(tx)
		},
		write: m.merge,
		finish: func(tx *gorm.DB) error {
			if !m.shown {
				return nil
			}
			return bumpCatalog(tx, nil)
		},
	})
	if err != nil {
		return ImportResult{}, err
	}
	s.showCatalog(ctx)
	return m.result, nil
}

// checkVendors finds rows that give a vendor another URL than an earlier row does.
func (s *staging) checkVendors(tx *gorm.DB) error {
	const query = `SELECT line, name AS text, earlier AS other FROM (
			SELECT line, name, vendor_url, first_value(vendor_url) OVER of_vendor AS url,
				first_value(line) OVER of_vendor AS earlier
			FROM import_rows WHERE vendor_url IS NOT NULL
			WINDOW of_vendor AS (PARTITION BY vendor_key ORDER BY line)
		) AS r WHERE vendor_url <> url`
	return s.check(tx, query, func(f rowProblem) string {
		return fmt.Sprintf("vendor_url is not the one that line %d gives the same vendor", f.Other)
	})
}

// catalogImport writes the rows of one import. The catalog is locked: what a batch reads stays so until it is written.
type catalogImport struct {
	now    time.Time // when the catalog was locked
	result ImportResult
	shown  bool // something has changed that catalog apps show
}

// importTarget is a row and the catalog app that it describes.
type importTarget struct {
	row     CatalogRow
	app     *CatalogApp
	created bool
	changed bool
}

func (m *catalogImport) merge(tx *gorm.DB, b batch[CatalogRow]) error {
	vendors, err := m.vendors(tx, b)
	if err != nil {
		return err
	}
	categories, err := m.categories(tx, b.rows)
	if err != nil {
		return err
	}
	targets, err := m.targets(tx, b)
	if err != nil {
		return err
	}
	if err := m.apps(tx, targets, vendors, categories); err != nil {
		return err
	}
	if err := mergeTexts(tx, b, targets, m.patterns()); err != nil {
		return err
	}
	if err := mergeTexts(tx, b, targets, m.aliases()); err != nil {
		return err
	}
	for _, t := range targets {
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
