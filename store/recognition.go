package store

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/clientapps/clientapps/store/keyset"
)

var patternListing = listing[URLPattern]{
	Keys: map[Column]sortKey[URLPattern]{
		ColumnPattern:   keyset.TextKey("name_key", func(p URLPattern) string { return p.NameKey }),
		ColumnCreatedAt: keyset.TimeKey("created_at", func(p URLPattern) time.Time { return p.CreatedAt }),
	},
	Tie:  "id",
	Of:   func(p URLPattern) string { return p.ID.String() },
	Tied: keyset.IsID,
}

var aliasListing = listing[DesktopAlias]{
	Keys: map[Column]sortKey[DesktopAlias]{
		ColumnAlias:     keyset.TextKey("name_key", func(a DesktopAlias) string { return a.NameKey }),
		ColumnCreatedAt: keyset.TimeKey("created_at", func(a DesktopAlias) time.Time { return a.CreatedAt }),
	},
	Tie:  "id",
	Of:   func(a DesktopAlias) string { return a.ID.String() },
	Tied: keyset.IsID,
}

// ListURLPatterns returns one page of a catalog app's URL patterns that have the query in them, or NotFoundError.
func (s *Store) ListURLPatterns(ctx context.Context, id uuid.UUID, query string, p Page) (List[URLPattern], error) {
	return listRecognition(ctx, s, patternListing, id, query, p)
}

// ListDesktopAliases returns one page of a catalog app's desktop aliases that have the query in them, or NotFoundError.
func (s *Store) ListDesktopAliases(ctx context.Context, id uuid.UUID, query string, p Page) (List[DesktopAlias], error) {
	return listRecognition(ctx, s, aliasListing, id, query, p)
}

func listRecognition[T any](ctx context.Context, s *Store, l listing[T], id uuid.UUID, query string, p Page) (List[T], error) {
	if err := l.Check(p); err != nil {
		return List[T]{}, err
	}
	if _, err := s.GetCatalogApp(ctx, id); err != nil {
		return List[T]{}, err
	}
	list, err := l.Page(ctx, s.contains(s.read.Where("catalog_app_id = ?", id), query), p, nil)
	return list, s.translate("list what an app is recognized by", err)
}

// ReplaceURLPatterns gives a catalog app these URL patterns and no others. What stays keeps its id and its time. A text
// given twice counts once. NotFoundError when there is no such catalog app.
func (s *Store) ReplaceURLPatterns(ctx context.Context, id uuid.UUID, patterns []string) error {
	return replaceTexts(ctx, s, id, ColumnPattern, &URLPattern{}, patterns, func(text string) URLPattern {
		return URLPattern{ID: uuid.New(), CatalogAppID: id, Pattern: text, NameKey: FoldName(text), CreatedAt: s.now()}
	})
}

// ReplaceDesktopAliases gives a catalog app these desktop aliases and no others, as ReplaceURLPatterns does.
func (s *Store) ReplaceDesktopAliases(ctx context.Context, id uuid.UUID, aliases []string) error {
	return replaceTexts(ctx, s, id, ColumnAlias, &DesktopAlias{}, aliases, func(text string) DesktopAlias {
		return DesktopAlias{ID: uuid.New(), CatalogAppID: id, Alias: text, NameKey: FoldName(text), CreatedAt: s.now()}
	})
}

func replaceTexts[T any](ctx context.Context, s *Store, id uuid.UUID, column Column, model *T, texts []string, row func(string) T) error {
	return s.inCatalogTx(ctx, "replace what an app is recognized by", nil, func(tx *gorm.DB) (*catalogChange, error) {
		if _, err := lockedCatalogApp(tx, id); err != nil {
			return nil, err
		}
		own := tx.Model(model).Where("catalog_app_id = ?", id).Session(&gorm.Session{})
		var have []string
		if err := own.Pluck(string(column), &have).Error; err != nil {
			return nil, err
		}
		var gone []string
		for _, text := range have {
			if !slices.Contains(texts, text) {
				gone = append(gone, text)
			}
		}
		if len(gone) > 0 {
			if err := among(own, string(column), gone).Delete(model).Error; err != nil {
				return nil, err
			}
		}
		var rows []T
		for _, text := range texts {
			if !slices.Contains(have, text) {
				have = append(have, text)
				rows = append(rows, row(text))
			}
		}
		return nil, insertNew(tx, rows) // the catalog's entries do not show these texts: their tags stay
	})
}
