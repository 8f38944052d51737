package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// ErrPosition says that Page.After cannot be the position of any row in this list: it was made by somebody else.
var ErrPosition = errors.New("no position of this list")

// Page asks for one page of a list: at most Size rows, in the order of SortBy and then of the id, behind After.
type Page struct {
	Size   int
	SortBy Column
	Desc   bool
	After  *Position // nil: from the beginning
}

// Position is where a row stands in its list. It stays good when rows are inserted, deleted or renamed, its own too. It
// comes back from clients, who may have changed it: each list takes exactly the texts that it makes, and fails with
// ErrPosition otherwise.
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
	keys map[Column]sortKey[T]             // by what Page.SortBy may be
	find func(q *gorm.DB, rows *[]T) error // reads the rows; nil: gorm does
	tie  string                            // column that makes every order total
	of   func(T) string                    // its value
	tied func(string) bool                 // says whether a text can be its value
}

// sortKey is one thing to sort by: a column, its value as text for a Position, and back. value takes only what text makes:
// a database may refuse anything else in a statement, and would not say whose fault that is.
type sortKey[T any] struct {
	column  string
	text    func(T) string
	value   func(string) (any, error)
	compare func(a, b T) int
	against func(row T, value any) int // compare, with what value has made of a text
}

func textKey[T any](column string, of func(T) string) sortKey[T] {
	return sortKey[T]{
		column: column,
		text:   of,
		value: func(text string) (any, error) {
			// PostgreSQL refuses both in a parameter (SQLSTATE 22021).
			if !utf8.ValidString(text) || strings.Contains(text, "\x00") {
				return nil, errors.New("text that no column can have")
			}
			return text, nil
		},
		compare: func(a, b T) int { return cmp.Compare(of(a), of(b)) },
		//nolint:errcheck,forcetypeassert // value gives a string
		against: func(row T, value any) int { return cmp.Compare(of(row), value.(string)) },
	}
}

func intKey[T any](column string, of func(T) int64) sortKey[T] {
	return sortKey[T]{
		column:  column,
		text:    func(row T) string { return strconv.FormatInt(of(row), 10) },
		value:   func(text string) (any, error) { return canonicalInt(text) },
		compare: func(a, b T) int { return cmp.Compare(of(a), of(b)) },
		//nolint:errcheck,forcetypeassert // value gives an int64
		against: func(row T, value any) int { return cmp.Compare(of(row), value.(int64)) },
	}
}

func timeKey[T any](column string, of func(T) time.Time) sortKey[T] {
	key := intKey(column, func(row T) int64 { return of(row).UnixMilli() })
	key.value = func(text string) (any, error) {
		ms, err := canonicalInt(text)
		if err != nil {
			return nil, err
		}
		at := time.UnixMilli(ms).UTC()
		if year := at.Year(); year < 1 || year > 9999 {
			return nil, errors.New("time that the API cannot show")
		}
		return at, nil
	}
	//nolint:errcheck,forcetypeassert // value gives a time
	key.against = func(row T, value any) int { return of(row).Compare(value.(time.Time)) }
	return key
}

// canonicalInt reads an integer as strconv.FormatInt writes it: +1, 01 and -0 are none.
func canonicalInt(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != text {
		return 0, errors.New("not an integer in its shortest form")
	}
	return n, nil
}

// isID says whether a text is an id as String writes it.
func isID(text string) bool {
	id, err := uuid.Parse(text)
	return err == nil && id.String() == text
}

// place reads what p asks for: the key that it sorts by and, if it has a position, the value of that.
func (l listing[T]) place(p Page) (key sortKey[T], value any, err error) {
	key, ok := l.keys[p.SortBy]
	if !ok {
		return key, nil, fmt.Errorf("this list cannot be sorted by %q", p.SortBy)
	}
	if p.Size < 1 {
		return key, nil, fmt.Errorf("a page cannot have %d rows", p.Size)
	}
	if p.After == nil {
		return key, nil, nil
	}
	if value, err = key.value(p.After.Key); err != nil {
		return key, nil, fmt.Errorf("%w: key: %w", ErrPosition, err)
	}
	if !l.tied(p.After.Tie) {
		return key, nil, fmt.Errorf("%w: tie", ErrPosition)
	}
	return key, value, nil
}

// page reads one page of the rows that q selects. It asks for one row more than the page has: whether there is one
// decides if there is a next page, so that none is ever empty. total is asked unless the page shows that it is all; nil
// counts the rows.
func (l listing[T]) page(ctx context.Context, q *gorm.DB, p Page, total func() (int64, error)) (List[T], error) {
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
		rest = q.Where("("+key.column+", "+l.tie+") "+beyond+" (?, ?)", value, p.After.Tie)
	}
	var list List[T]
	rest = rest.Order(key.column + order + ", " + l.tie + order).Limit(p.Size + 1)
	if l.find != nil {
		err = l.find(rest, &list.Rows)
	} else {
		err = rest.Find(&list.Rows).Error
	}
	if err != nil {
		return List[T]{}, err
	}
	l.cut(&list, key, p)
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

// cut takes the row away that is only there to show that there are more.
func (l listing[T]) cut(list *List[T], key sortKey[T], p Page) {
	if len(list.Rows) > p.Size {
		list.Rows = list.Rows[:p.Size]
		last := list.Rows[p.Size-1]
		list.Next = &Position{Key: key.text(last), Tie: l.of(last)}
	}
}

// sorted returns the rows of a list that is kept in memory, in each order that pick may ask for.
func (l listing[T]) sorted(rows []T) map[Column][]T {
	orders := make(map[Column][]T, len(l.keys))
	for by := range l.keys {
		orders[by] = slices.SortedFunc(slices.Values(rows), l.order(by))
	}
	return orders
}

// replace returns the orders with some rows in the place of others. What lies between is copied as it is.
func (l listing[T]) replace(orders map[Column][]T, gone, come []T) map[Column][]T {
	next := make(map[Column][]T, len(orders))
	for by, have := range orders {
		edits := make([]edit[T], 0, len(gone)+len(come))
		for _, row := range gone {
			if at, found := slices.BinarySearchFunc(have, row, l.order(by)); found {
				edits = append(edits, edit[T]{at: at, removes: 1})
			}
		}
		for _, row := range slices.SortedFunc(slices.Values(come), l.order(by)) {
			at, _ := slices.BinarySearchFunc(have, row, l.order(by))
			edits = append(edits, edit[T]{at: at, row: row})
		}
		// At one place what comes stands before what goes, in the order in which it comes.
		slices.SortStableFunc(edits, func(a, b edit[T]) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.removes, b.removes)) })
		rows, done := make([]T, 0, len(have)+len(come)), 0
		for _, e := range edits {
			rows = append(rows, have[done:e.at]...)
			if e.removes == 0 {
				rows = append(rows, e.row)
			}
			done = e.at + e.removes
		}
		next[by] = append(rows, have[done:]...)
	}
	return next
}

// edit is a row that comes before the one at a place, or the removal of that one.
type edit[T any] struct {
	at, removes int
	row         T
}

// order compares rows as the list that is sorted by this column has them.
func (l listing[T]) order(by Column) func(a, b T) int {
	compare := l.keys[by].compare
	return func(a, b T) int {
		if d := compare(a, b); d != 0 {
			return d
		}
		return cmp.Compare(l.of(a), l.of(b))
	}
}

// pick takes one page of the rows in memory that match, as page does of those in the database. A nil match matches all.
func (l listing[T]) pick(orders map[Column][]T, p Page, match func(T) bool) (List[T], error) {
	key, value, err := l.place(p)
	if err != nil {
		return List[T]{}, err
	}
	rows := orders[p.SortBy]
	at := func(i int) T { return rows[i] }
	if p.Desc {
		at = func(i int) T { return rows[len(rows)-1-i] }
	}
	first := 0
	if p.After != nil {
		first = sort.Search(len(rows), func(i int) bool {
			d := key.against(at(i), value)
			if d == 0 {
				d = cmp.Compare(l.of(at(i)), p.After.Tie)
			}
			return p.Desc == (d < 0) && d != 0
		})
	}
	var list List[T]
	for i := range rows {
		if row := at(i); match == nil || match(row) {
			list.Total++
			if i >= first && len(list.Rows) <= p.Size {
				list.Rows = append(list.Rows, row)
			}
		}
	}
	l.cut(&list, key, p)
	return list, nil
}

// contains selects rows whose folded name has the text in it, literally and without regard to case.
func (s *Store) contains(q *gorm.DB, text string) *gorm.DB {
	if text == "" {
		return q
	}
	return q.Where(s.db.position()+"(name_key, ?) > 0", FoldName(text))
}
