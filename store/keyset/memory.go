package keyset

import (
	"cmp"
	"slices"
	"sort"
)

// Sorted returns the rows of a list that is kept in memory, in each order that pick may ask for.
func (l Listing[C, T]) Sorted(rows []T) map[C][]T {
	orders := make(map[C][]T, len(l.Keys))
	for by := range l.Keys {
		orders[by] = slices.SortedFunc(slices.Values(rows), l.order(by))
	}
	return orders
}

// Replace returns the orders with some rows in the place of others. What lies between is copied as it is.
func (l Listing[C, T]) Replace(orders map[C][]T, gone, come []T) map[C][]T {
	next := make(map[C][]T, len(orders))
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
func (l Listing[C, T]) order(by C) func(a, b T) int {
	compare := l.Keys[by].compare
	return func(a, b T) int {
		if d := compare(a, b); d != 0 {
			return d
		}
		return cmp.Compare(l.Of(a), l.Of(b))
	}
}

// Pick takes one page of the rows in memory that match, as Page does of those in the database. A nil match matches all.
func (l Listing[C, T]) Pick(orders map[C][]T, p Page[C], match func(T) bool) (List[T], error) {
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
			d := key.compareCursor(at(i), value)
			if d == 0 {
				d = cmp.Compare(l.Of(at(i)), p.After.TieBreaker)
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
	l.trimExtraRow(&list, key, p)
	return list, nil
}
