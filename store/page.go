package store

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"gorm.io/gorm"
)

// Page asks for one page of a list: at most Size rows, in the order of SortBy and then of the id, behind After.
type Page struct {
	Size   int
	SortBy Column
	Desc   bool
	After  *Position // nil: from the beginning
}

// Position is where a row stands in its list. It stays good when rows are inserted, deleted or renamed, its own too.
type Position struct {
	Key string // what the list is sorted by
	Tie string // what decides between equals
}

// List is one page of a list.
type List[T any] struct {
	Rows  []T
	Total int64     // rows that match the filters, on all pages
	Next  *Position // nil on the last page
}

// listing says how the rows of one list can be sorted.
type listing[T any] struct {
	keys map[Column]sortKey[T] // by what Page.SortBy may be
	tie  string                // column that makes every order total
	of   func(T) string        // its value
}

// sortKey is one thing to sort by: a column, its value as text for a Position, and back.
type sortKey[T any] struct {
	column string
	text   func(T) string
	value  func(string) (any, error)
}

func textKey[T any](column string, of func(T) string) sortKey[T] {
	return sortKey[T]{column, of, func(text string) (any, error) { return text, nil }}
}

func intKey[T any](column string, of func(T) int64) sortKey[T] {
	return sortKey[T]{
		column: column,
		text:   func(row T) string { return strconv.FormatInt(of(row), 10) },
		value:  func(text string) (any, error) { return strconv.ParseInt(text, 10, 64) },
	}
}

func timeKey[T any](column string, of func(T) time.Time) sortKey[T] {
	key := intKey(column, func(row T) int64 { return of(row).UnixMilli() })
	millis := key.value
	key.value = func(text string) (any, error) {
		ms, err := millis(text)
		if err != nil {
			return nil, err
		}
		return time.UnixMilli(ms.(int64)).UTC(), nil //nolint:errcheck,forcetypeassert // intKey gives an int64
	}
	return key
}

// page reads one page of the rows that q selects. It asks for one row more than the page has: whether there is one
// decides if there is a next page, so that none is ever empty.
func (l listing[T]) page(ctx context.Context, q *gorm.DB, p Page) (List[T], error) {
	key, ok := l.keys[p.SortBy]
	if !ok {
		return List[T]{}, fmt.Errorf("this list cannot be sorted by %q", p.SortBy)
	}
	var list List[T]
	q = q.WithContext(ctx).Session(&gorm.Session{})
	if err := q.Model(new(T)).Count(&list.Total).Error; err != nil {
		return List[T]{}, err
	}
	order, beyond := " ASC", ">"
	if p.Desc {
		order, beyond = " DESC", "<"
	}
	if p.After != nil {
		value, err := key.value(p.After.Key)
		if err != nil {
			return List[T]{}, fmt.Errorf("position: %w", err)
		}
		q = q.Where("("+key.column+", "+l.tie+") "+beyond+" (?, ?)", value, p.After.Tie)
	}
	err := q.Order(key.column + order + ", " + l.tie + order).Limit(p.Size + 1).Find(&list.Rows).Error
	if err != nil {
		return List[T]{}, err
	}
	if len(list.Rows) > p.Size {
		list.Rows = list.Rows[:p.Size]
		last := list.Rows[p.Size-1]
		list.Next = &Position{Key: key.text(last), Tie: l.of(last)}
	}
	return list, nil
}

// contains selects rows whose folded name has the text in it, literally and without regard to case.
func (s *Store) contains(q *gorm.DB, text string) *gorm.DB {
	if text == "" {
		return q
	}
	return q.Where(s.db.position()+"(name_key, ?) > 0", FoldName(text))
}
