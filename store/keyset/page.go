// Package keyset pages lists by keyset: a page begins behind the last row of the page before. It works in SQL and in memory. The
// cost of a page does not depend on its position, and a row that does not change while a list is paged is seen exactly once.
package keyset

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"
)

// ErrPosition says that Page.After cannot be the position of a row in this list.
var ErrPosition = errors.New("no position of this list")

// Page asks for one page of a list: at most Size rows, in the order of SortBy and then of the id, behind After.
type Page[C ~string] struct {
	Size   int
	SortBy C
	Desc   bool
	After  *Position // nil: from the beginning
}

// Position is the position of a row in its list. It stays valid when rows are inserted, deleted or renamed, including its own. Clients
// send it back and may have changed it: a list accepts only texts that it can have made, and returns ErrPosition otherwise.
type Position struct {
	SortKey    string // what the list is sorted by
	TieBreaker string // what decides between equals
}

// List is one page of a list.
type List[T any] struct {
	Rows  []T
	Total int64     // rows that match the filters, on all pages
	Next  *Position // nil on the last page
	ETag  string    // changes with the whole list; "" where a list has none
}

// Listing is how the rows of one list can be sorted.
type Listing[C ~string, T any] struct {
	Keys map[C]Key[T]                      // by what Page.SortBy may be
	Find func(q *gorm.DB, rows *[]T) error // reads the rows; nil: gorm does
	Tie  string                            // column that makes every order total
	Of   func(T) string                    // its value
	Tied func(string) bool                 // says whether a text can be its value
}

// Check returns the error that Page or Pick would return for p, before anything is read.
func (l Listing[C, T]) Check(p Page[C]) error {
	_, _, err := l.place(p)
	return err
}

// place reads what p asks for: the key that it sorts by and, if it has a position, the value of that.
func (l Listing[C, T]) place(p Page[C]) (key Key[T], value any, err error) {
	key, ok := l.Keys[p.SortBy]
	if !ok {
		return key, nil, fmt.Errorf("this list cannot be sorted by %q", p.SortBy)
	}
	if p.Size < 1 {
		return key, nil, fmt.Errorf("a page cannot have %d rows", p.Size)
	}
	if p.After == nil {
		return key, nil, nil
	}
	if value, err = key.value(p.After.SortKey); err != nil {
		return key, nil, fmt.Errorf("%w: key: %w", ErrPosition, err)
	}
	if !l.Tied(p.After.TieBreaker) {
		return key, nil, fmt.Errorf("%w: tie", ErrPosition)
	}
	return key, value, nil
}

// Page reads one page of the rows that q selects. It reads one row more than the page has, to see whether there is a next page, so
// that no page is empty. It calls total for the total count, unless the page has all rows. A nil total counts the rows.
func (l Listing[C, T]) Page(ctx context.Context, q *gorm.DB, p Page[C], total func() (int64, error)) (List[T], error) {
	key, value, err := l.place(p)
	if err != nil {
		return List[T]{}, err
	}
	order, beyond := " ASC", ">"
	if p.Desc {
		order, beyond = " DESC", "<"
	}
	q = q.WithContext(ctx).Session(&gorm.Session{})
	rest := q
	if p.After != nil {
		// Compared as a row, both are the range of an index that begins with the key.
		rest = q.Where("("+key.column+", "+l.Tie+") "+beyond+" (?, ?)", value, p.After.TieBreaker)
	}
	var list List[T]
	rest = rest.Order(key.column + order + ", " + l.Tie + order).Limit(p.Size + 1)
	if l.Find != nil {
		err = l.Find(rest, &list.Rows)
	} else {
		err = rest.Find(&list.Rows).Error
	}
	if err != nil {
		return List[T]{}, err
	}
	l.trimExtraRow(&list, key, p)
	switch {
	case p.After == nil && list.Next == nil:
		list.Total = int64(len(list.Rows))
	case total != nil:
		list.Total, err = total()
	default:
		err = q.Model(new(T)).Count(&list.Total).Error
	}
	return list, err
}

// trimExtraRow removes the row beyond the page, which was only read to see whether there is a next page.
func (l Listing[C, T]) trimExtraRow(list *List[T], key Key[T], p Page[C]) {
	if len(list.Rows) > p.Size {
		list.Rows = list.Rows[:p.Size]
		last := list.Rows[p.Size-1]
		list.Next = &Position{SortKey: key.text(last), TieBreaker: l.Of(last)}
	}
}
