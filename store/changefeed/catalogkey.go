package changefeed

import (
	"bytes"
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// CatalogKey is the place of a change in the feed of the catalog, whose order is that of the revisions.
type CatalogKey struct {
	Revision int64
	Entity   string
	EntityID uuid.UUID
	Field    string
}

// BeforeRevision returns the key before all changes that have this revision or a later one.
func BeforeRevision(revision int64) CatalogKey { return CatalogKey{Revision: revision} }

// Compare returns -1, 0 or 1.
func (k CatalogKey) Compare(o CatalogKey) int {
	return cmp.Or(
		cmp.Compare(k.Revision, o.Revision), strings.Compare(k.Entity, o.Entity), bytes.Compare(k.EntityID[:], o.EntityID[:]),
		strings.Compare(k.Field, o.Field),
	)
}

// String returns the key as text.
func (k CatalogKey) String() string {
	if k == BeforeRevision(k.Revision) {
		return strconv.FormatInt(k.Revision, 10)
	}
	return fmt.Sprintf("%d:%s:%s:%s", k.Revision, k.Entity, k.EntityID, k.Field)
}

// ParseCatalogKey returns the key whose text this is, or ErrKey.
func ParseCatalogKey(text string) (CatalogKey, error) {
	parts := strings.Split(text, ":")
	revision, err := strconv.ParseInt(parts[0], 10, 64)
	k := BeforeRevision(revision)
	if err == nil && len(parts) == 4 {
		k.Entity, k.Field = parts[1], parts[3]
		k.EntityID, err = uuid.Parse(parts[2])
		if !isName(k.Entity) || !isName(k.Field) {
			return CatalogKey{}, ErrKey
		}
	}
	if err != nil || revision < 0 || k.String() != text {
		return CatalogKey{}, ErrKey
	}
	return k, nil
}

// isName reports whether a text can be the name of an entity or a field, of this version or a later one.
func isName(text string) bool {
	return text != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}
