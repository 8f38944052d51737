package store

import (
	"encoding/binary"
	"hash/fnv"
	"slices"
	"strconv"
)

// Tag is an opaque text that changes with anything the app shows, its catalog entry included.
func (a App) Tag() string { return string(a.AppendTag(nil)) }

// AppendTag appends the tag to a buffer.
func (a App) AppendTag(b []byte) []byte {
	return append(append(strconv.AppendInt(b, a.Version, 10), '.'), a.Catalog.tag...)
}

// Match is the tags that a write may find; any other tag refuses it.
type Match struct{ Tags []string }

// allows says whether a write may go on at this tag. A nil match allows every tag.
func (m *Match) allows(tag string) bool { return m == nil || slices.Contains(m.Tags, tag) }

// versionTag is the tag of a row that shows nothing but itself.
func versionTag(version int64) string { return strconv.FormatInt(version, 10) }

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
