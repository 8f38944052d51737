package store

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/clientapps/clientapps/store/casefold"
	"github.com/clientapps/clientapps/store/etag"
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
	return listTexts(ctx, s, patternListing, id, query, p)
}

// ListDesktopAliases returns one page of a catalog app's desktop aliases that have the query in them, or NotFoundError.
func (s *Store) ListDesktopAliases(ctx context.Context, id uuid.UUID, query string, p Page) (List[DesktopAlias], error) {
	return listTexts(ctx, s, aliasListing, id, query, p)
}

// listTexts reads the whole list, of which there are at most a thousand rows: its tag and the page are of one moment.
func listTexts[T appText](ctx context.Context, s *Store, l listing[T], id uuid.UUID, query string, p Page) (List[T], error) {
	if err := l.Check(p); err != nil {
		return List[T]{}, err
	}
	if _, err := s.GetCatalogApp(ctx, id); err != nil {
		return List[T]{}, err
	}
	var all []T
	if err := s.read.WithContext(ctx).Where("catalog_app_id = ?", id).Find(&all).Error; err != nil {
		return List[T]{}, s.translate("list what an app is recognized by", err)
	}
	part := casefold.Name(query)
	list, err := l.Pick(l.Sorted(all), p, func(row T) bool { return strings.Contains(row.key(), part) })
	list.ETag = textsTag(all)
	return list, err
}

// appText is a text that a catalog app is recognized by.
type appText interface {
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
	return replaceTexts(ctx, s, id, patterns, by, match, func(text string) URLPattern {
		return URLPattern{ID: uuid.New(), CatalogAppID: id, Pattern: text, NameKey: casefold.Name(text), CreatedAt: s.now()}
	})
}

// ReplaceDesktopAliases gives a catalog app these desktop aliases and no others, as ReplaceURLPatterns does.
func (s *Store) ReplaceDesktopAliases(ctx context.Context, id uuid.UUID, aliases []string, by Actor, match *IfMatch) error {
	return replaceTexts(ctx, s, id, aliases, by, match, func(text string) DesktopAlias {
		return DesktopAlias{ID: uuid.New(), CatalogAppID: id, Alias: text, NameKey: casefold.Name(text), CreatedAt: s.now()}
	})
}

func replaceTexts[T appText](ctx context.Context, s *Store, id uuid.UUID, texts []string, by Actor, match *IfMatch, row func(string) T) error {
	return s.inCatalogTx(ctx, "replace what an app is recognized by", by, nil, func(tx *gorm.DB) (*changedEntity, error) {
		if _, err := lockedCatalogApp(tx, id); err != nil {
			return nil, err
		}
		var have []T
		if err := tx.Where("catalog_app_id = ?", id).Find(&have).Error; err != nil {
			return nil, err
		}
		if err := match.Check(textsTag(have)); err != nil {
			return nil, err
		}
		there := map[string]bool{}
		var gone []uuid.UUID
		for _, row := range have {
			there[row.text()] = true
			if !slices.Contains(texts, row.text()) {
				gone = append(gone, row.id())
			}
		}
		if len(gone) > 0 {
			if err := whereIn(tx, "id", gone).Delete(new(T)).Error; err != nil {
				return nil, err
			}
		}
		var rows []T
		for _, text := range texts {
			if !there[text] {
				there[text] = true
				rows = append(rows, row(text))
			}
		}
		if len(gone)+len(rows) == 0 {
			return nil, nil //nolint:nilnil // nothing has changed
		}
		return changed(entityApp, id), insertNew(tx, rows) // the entry does not show these texts: its tag stays
	})
}

// textsTag is the tag of a whole list of texts, whatever order it was read in. It has the keys too: when names are folded anew,
// rows keep their ids and change places.
func textsTag[T appText](rows []T) string {
	var b []byte
	for _, row := range slices.SortedFunc(slices.Values(rows), func(x, y T) int { return compareIDs(x.id(), y.id()) }) {
		id := row.id()
		b = append(b, id[:]...)
		b = append(append(b, row.text()...), 0)
		b = append(append(b, row.key()...), 0)
	}
	return etag.OfText(b)
}
