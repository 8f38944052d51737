package store

import (
	"slices"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// texts is one of the two kinds of text that catalog apps are recognized by.
type texts[T any] struct {
	want func(CatalogRow) []string // nil keeps what there is
	of   func(T) (app, id uuid.UUID, text string)
	row  func(app uuid.UUID, text string) T
}

func (m *catalogImport) patterns() texts[URLPattern] {
	return texts[URLPattern]{
		want: func(r CatalogRow) []string { return r.URLPatterns },
		of:   func(p URLPattern) (uuid.UUID, uuid.UUID, string) { return p.CatalogAppID, p.ID, p.Pattern },
		row: func(app uuid.UUID, text string) URLPattern {
			return URLPattern{ID: newID(), CatalogAppID: app, Pattern: text, NameKey: FoldName(text), CreatedAt: m.now}
		},
	}
}

func (m *catalogImport) aliases() texts[DesktopAlias] {
	return texts[DesktopAlias]{
		want: func(r CatalogRow) []string { return r.DesktopAliases },
		of:   func(a DesktopAlias) (uuid.UUID, uuid.UUID, string) { return a.CatalogAppID, a.ID, a.Alias },
		row: func(app uuid.UUID, text string) DesktopAlias {
			return DesktopAlias{ID: newID(), CatalogAppID: app, Alias: text, NameKey: FoldName(text), CreatedAt: m.now}
		},
	}
}

// mergeTexts gives catalog apps the texts that their rows say and no others. What stays keeps its id and its time. The
// apps do not show these texts: their versions stay.
func mergeTexts[T any](tx *gorm.DB, b batch[CatalogRow], targets []*importTarget, kind texts[T]) error {
	if !slices.ContainsFunc(targets, func(t *importTarget) bool { return kind.want(t.row) != nil }) {
		return nil
	}
	var rows []T
	if err := tx.Where("catalog_app_id IN (?)", b.entries(tx)).Find(&rows).Error; err != nil {
		return err
	}
	have := map[uuid.UUID]map[string]uuid.UUID{}
	for _, row := range rows {
		app, id, text := kind.of(row)
		if have[app] == nil {
			have[app] = map[string]uuid.UUID{}
		}
		have[app][text] = id
	}
	var gone []uuid.UUID
	var added []T
	for _, t := range targets {
		want := kind.want(t.row)
		if want == nil {
			continue
		}
		wanted := map[string]bool{}
		for _, text := range want {
			if _, there := have[t.app.ID][text]; !there && !wanted[text] {
				added = append(added, kind.row(t.app.ID, text))
				t.changed = true
			}
			wanted[text] = true
		}
		for text, id := range have[t.app.ID] {
			if !wanted[text] {
				gone = append(gone, id)
				t.changed = true
			}
		}
	}
	for part := range slices.Chunk(gone, batchRows) {
		if err := whereIn(tx, "id", part).Delete(new(T)).Error; err != nil {
			return err
		}
	}
	return insertNew(tx, added)
}
