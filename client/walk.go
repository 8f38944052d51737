package client

import "iter"

// Walk goes through all rows of a list. fetch returns the page that begins at the cursor (nil for the first) and where
// the next one begins (nil after the last). An error ends the walk, as its last pair.
func Walk[T any](fetch func(cursor *string) (rows []T, next *string, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var cursor *string
		for {
			rows, next, err := fetch(cursor)
			if err != nil {
				var none T
				yield(none, err)
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
