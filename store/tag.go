package store

import (
	"encoding/binary"
	"hash/fnv"
	"strconv"
)

// Tag is an opaque text that changes with anything the app shows, its catalog entry included.
func (a App) Tag() string { return strconv.FormatInt(a.Version, 10) + "." + a.Catalog.tag }

// Match is the tags that a write may find; any other tag refuses it.
type Match struct{ Tags []string }

func (m *Match) has(tag string) bool {
	for _, t := range m.Tags {
		if t == tag {
			return true
		}
	}
	return false
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
