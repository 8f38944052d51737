// Package keyset implements keyset pagination, in SQL and in memory: a page begins behind the last row of the previous page. The cost of a
// page does not depend on its position, and a row that does not change while a list is read appears exactly once.
package keyset

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"
)

// ErrPosition means that Page.After cannot be the position of a row in this list.
var ErrPosition = errors.New("no position of this list")

// Page asks for one page of a list: at most Size rows behind After, in the order of SortBy and then of Listing.TieColumn.
type Page[C ~string] struct {
	Size   int
	SortBy C
	Desc   bool
	After  *Position // nil: from the beginning
}

// Position is the position of a row in its list. It stays valid when rows are inserted, deleted or renamed, including its own row. Clients
// send it back and may have changed it: a list accepts only texts that it can have returned, and fails with ErrPosition otherwise.
type Position struct {
	SortKey    string // the value that the list is sorted by
	TieBreaker string // orders rows with equal sort keys
}

// List is one page of a list.
type List[T any] struct {
	Rows  []T
	Total int64     // rows that match the filters, on all pages
	Next  *Position // nil on the last page
	ETag  string    // changes with any row of the list; "" if the list has none
}

// Listing describes a list: the columns that it can be sorted by, and how to read it.
type Listing[C ~string, T any] struct {
	Keys            map[C]Key[T]                      // by the values of Page.SortBy
	Find            func(q *gorm.DB, rows *[]T) error // reads the rows; nil: with gorm
	TieColumn       string                            // column that makes every order total
	TieBreaker      func(T) string                    // its value as text
	ValidTieBreaker func(string) bool                 // reports whether a text can be its value
}

// Check returns the error that Page or PageInMemory would return for p, before anything is read.
func (l Listing[C, T]) Check(p Page[C]) error {
	_, _, err := l.resolve(p)
	return err
}

// resolve returns the key that p sorts by and, if p.After is set, its sort key as a value of the column.
func (l Listing[C, T]) resolve(p Page[C]) (key Key[T], value any, err error) {
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
	if !l.ValidTieBreaker(p.After.TieBreaker) {
		return key, nil, fmt.Errorf("%w: tie", ErrPosition)
	}
	return key, value, nil
}

// Page reads one page of the rows that q selects. It reads one row more than the page has, to see whether there is a next page, so
// that no page is empty. It calls total for the total count, unless the page has all rows. A nil total counts the rows.
func (l Listing[C, T]) Page(ctx context.Context, q *gorm.DB, p Page[C], total func() (int64, error)) (List[T], error) {
	key, value, err := l.resolve(p)
	if err != nil {
		return List[T]{}, err
	}
	order, operator := " ASC", ">"
	if p.Desc {
		order, operator = " DESC", "<"
	}
	q = q.WithContext(ctx).Session(&gorm.Session{})
	pageQuery := q
	if p.After != nil {
		// As a row comparison, both columns can be the range of an index.
		pageQuery = q.Where("("+key.column+", "+l.TieColumn+") "+operator+" (?, ?)", value, p.After.TieBreaker)
	}
	var list List[T]
	pageQuery = pageQuery.Order(key.column + order + ", " + l.TieColumn + order).Limit(p.Size + 1)
	if l.Find != nil {
		err = l.Find(pageQuery, &list.Rows)
	} else {
		err = pageQuery.Find(&list.Rows).Error
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
		list.Next = &Position{SortKey: key.text(last), TieBreaker: l.TieBreaker(last)}
	}
}
