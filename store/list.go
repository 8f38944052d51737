package store

import (
	"gorm.io/gorm"

	"github.com/clientapps/clientapps/store/fold"
	"github.com/clientapps/clientapps/store/keyset"
)

// Page asks for one page of a list.
type Page = keyset.Page[Column]

// Position is where a row stands in its list.
type Position = keyset.Position

// List is one page of a list.
type List[T any] = keyset.List[T]

// ErrPosition says that Page.After cannot be the position of any row in this list: it was made by somebody else.
var ErrPosition = keyset.ErrPosition

type (
	listing[T any] = keyset.Listing[Column, T]
	sortKey[T any] = keyset.Key[T]
)

// contains selects rows whose folded name has the text in it, literally and without regard to case.
func (s *Store) contains(q *gorm.DB, text string) *gorm.DB {
	if text == "" {
		return q
	}
	return q.Where(s.db.Position()+"(name_key, ?) > 0", fold.Name(text))
}
