package client

import "iter"

// Walk yields all rows of a list. fetch returns the page at the cursor (nil for the first page) and the cursor of the next page
// (nil after the last). An error is yielded as the last pair and ends the walk.
func Walk[T any](fetch func(cursor *string) (rows []T, next *string, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var cursor *string
		for {
			rows, next, err := fetch(cursor)
			if err != nil {
				var zero T
				yield(zero, err)
				return
			}
			for _, row := range rows {
				if !yield(row, nil) {
					return
				}
			}
			if next == nil {
				return
			}
			cursor = next
		}
	}
}
