package keyset

import (
	"cmp"
	"slices"
	"sort"
)

// Sorted returns the rows of a list in memory in each order that PageInMemory needs.
func (l Listing[C, T]) Sorted(rows []T) map[C][]T {
	orders := make(map[C][]T, len(l.Keys))
	for by := range l.Keys {
		orders[by] = slices.SortedFunc(slices.Values(rows), l.order(by))
	}
	return orders
}

// Replace returns the orders without the removed rows and with the added ones. It sorts only the added ones.
func (l Listing[C, T]) Replace(orders map[C][]T, removed, added []T) map[C][]T {
	next := make(map[C][]T, len(orders))
	for by, old := range orders {
		edits := make([]edit[T], 0, len(removed)+len(added))
		for _, row := range removed {
			if at, found := slices.BinarySearchFunc(old, row, l.order(by)); found {
				edits = append(edits, edit[T]{at: at, removes: 1})
			}
		}
		for _, row := range slices.SortedFunc(slices.Values(added), l.order(by)) {
			at, _ := slices.BinarySearchFunc(old, row, l.order(by))
			edits = append(edits, edit[T]{at: at, row: row})
		}
		// At one index, insertions come before the removal, in their own order.
		slices.SortStableFunc(edits, func(a, b edit[T]) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.removes, b.removes)) })
		rows, done := make([]T, 0, len(old)+len(added)), 0
		for _, e := range edits {
			rows = append(rows, old[done:e.at]...)
			if e.removes == 0 {
				rows = append(rows, e.row)
			}
			done = e.at + e.removes
		}
		next[by] = append(rows, old[done:]...)
	}
	return next
}

// edit inserts a row before the one at an index, or removes the one at that index.
type edit[T any] struct {
	at, removes int
	row         T
}

// order returns the comparison of rows in the list that is sorted by this column.
func (l Listing[C, T]) order(by C) func(a, b T) int {
	compare := l.Keys[by].compare
	return func(a, b T) int {
		if d := compare(a, b); d != 0 {
			return d
		}
		return cmp.Compare(l.TieBreaker(a), l.TieBreaker(b))
	}
}

// PageInMemory returns one page of the rows in memory that match, as Page does for rows in the database. A nil match matches all rows.
func (l Listing[C, T]) PageInMemory(orders map[C][]T, p Page[C], match func(T) bool) (List[T], error) {
	key, value, err := l.resolve(p)
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
				d = cmp.Compare(l.TieBreaker(at(i)), p.After.TieBreaker)
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
