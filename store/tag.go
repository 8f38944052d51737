package store

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash/fnv"
	"slices"
	"strconv"

	"github.com/google/uuid"
)

// Tag is an opaque text that changes with anything the app shows, its catalog entry included.
func (a App) Tag() string { return string(a.AppendTag(nil)) }

// AppendTag appends the tag to a buffer.
func (a App) AppendTag(b []byte) []byte {
	return append(append(strconv.AppendInt(b, a.Version, 10), '.'), a.Catalog.tag...)
}

// Match binds a write to the tag that it finds. The zero value refuses every tag.
type Match struct {
	Tags   []string // the object must have one of these
	Any    bool     // it may have any other, too
	Except []string // it must have none of these
	Never  bool     // the object must not exist
}

// check refuses a write at this tag with PreconditionError. A nil match refuses none.
func (m *Match) check(tag string) error {
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

// listTag digests the ids of the rows of a whole list, of which each shows the same for as long as it is there.
func listTag(ids []uuid.UUID) string {
	h := sha256.New()
	for _, id := range distinct(ids) {
		_, _ = h.Write(id[:])
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// catalogTag digests the ids and versions of everything that a catalog app shows.
func catalogTag(a *CatalogApp) string {
	h := fnv.New64a()
	add := func(id [16]byte, version int64) {
		var buf [24]byte
		copy(buf[:], id[:])
		binary.BigEndian.PutUint64(buf[16:], uint64(version)) //nolint:gosec // bits of a hash, not a number
		_, _ = h.Write(buf[:])
	}
	add(a.ID, a.Version)
	if a.Vendor != nil {
		add(a.Vendor.ID, a.Vendor.Version)
	}
	for _, c := range a.Categories {
		add(c.ID, c.Version)
	}
	return strconv.FormatUint(h.Sum64(), 36)
}
