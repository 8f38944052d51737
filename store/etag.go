package store

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// ETag is an opaque text that changes with anything the app shows, its catalog entry included.
func (a App) ETag() string { return string(a.AppendETag(nil)) }

// AppendETag appends the tag to a buffer.
func (a App) AppendETag(b []byte) []byte {
	return append(append(strconv.AppendInt(b, a.Version, 10), '.'), a.Catalog.tag...)
}

// IfMatch binds a write to the tag that it finds. The zero value refuses every tag.
type IfMatch struct {
	Tags   []string // the object must have one of these
	Any    bool     // it may have any other, too
	Except []string // it must have none of these
	Never  bool     // the object must not exist
}

// check refuses a write at this tag with PreconditionError. A nil match refuses none.
func (m *IfMatch) check(tag string) error {
	switch {
	case m == nil:
		return nil
	case !m.Any && !slices.Contains(m.Tags, tag):
		return &PreconditionError{}
	case m.Never, slices.Contains(m.Except, tag):
		return &PreconditionError{Except: true}
	}
	return nil
}

// versionTag is the tag of a row that shows nothing but itself.
func versionTag(version int64) string { return strconv.FormatInt(version, 10) }

// listTag is the tag of a list, of a text that changes with anything the list shows.
func listTag(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// textsTag is the tag of a whole list of texts, whatever order it was read in. It has the keys too: when names are folded anew,
// rows keep their ids and change places.
func textsTag[T appText](rows []T) string {
	var b []byte
	for _, row := range slices.SortedFunc(slices.Values(rows), func(x, y T) int { return compareIDs(x.id(), y.id()) }) {
		id := row.id()
		b = append(b, id[:]...)
		b = append(append(b, row.text()...), 0)
		b = append(append(b, row.key()...), 0)
	}
	return listTag(b)
}

// catalogRow is a row of the catalog that a list shows.
type catalogRow interface {
	appendState(b []byte) []byte // appends what changes with anything the row shows
}

func (a *CatalogApp) appendState(b []byte) []byte { return append(append(b, a.tag...), 0) }
func (v Vendor) appendState(b []byte) []byte      { return appendState(b, v.ID, v.Version, v.UpdatedAt) }

func (c Category) appendState(b []byte) []byte { return appendState(b, c.ID, c.Version, c.UpdatedAt) }

// pageTag is the tag of a page of the catalog. It is made of the rows, not of the catalog's revision: a database that was restored,
// or made anew, comes to the same revision with other rows.
func pageTag[T catalogRow](list List[T]) string {
	b := fmt.Appendf(nil, "%d %d ", len(list.Rows), list.Total)
	for _, row := range list.Rows {
		b = row.appendState(b)
	}
	if list.Next != nil {
		b = append(append(append(b, list.Next.SortKey...), 0), list.Next.TieBreaker...)
	}
	return listTag(b)
}

// appendState appends the state of a row. The version alone would be that of another state after a restore.
func appendState(b []byte, id uuid.UUID, version int64, updated time.Time) []byte {
	b = append(b, id[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(version)) //nolint:gosec // bits of a hash, not a number
	return binary.BigEndian.AppendUint64(b, uint64(updated.UnixMilli()))
}

// catalogTag digests the states of everything that a catalog app shows.
func catalogTag(a *CatalogApp) string {
	b := appendState(nil, a.ID, a.Version, a.UpdatedAt)
	if a.Vendor != nil {
		b = a.Vendor.appendState(b)
	}
	for _, c := range a.Categories {
		b = c.appendState(b)
	}
	h := fnv.New64a()
	_, _ = h.Write(b)
	return strconv.FormatUint(h.Sum64(), 36)
}
