// Package etag makes entity tags and checks the conditions of conditional requests (RFC 9110, 8.8.3 and 13.1).
package etag

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// Match is the condition of a write on the current tag of its object. The zero value refuses every tag.
type Match struct {
	Tags         []string // the object must have one of these
	Any          bool     // the object may have any tag
	NoneOf       []string // the object must have none of these
	MustNotExist bool
}

// PreconditionError means that the object has none of the tags that it must have. Nothing was written.
type PreconditionError struct {
	NoneMatch bool // the object has a tag that it must not have, or exists and must not
}

func (e *PreconditionError) Error() string { return "the object is not as it must be" }

// Check refuses a write at this tag with PreconditionError. A nil match refuses none.
func (m *Match) Check(tag string) error {
	switch {
	case m == nil:
		return nil
	case !m.Any && !slices.Contains(m.Tags, tag):
		return &PreconditionError{}
	case m.MustNotExist, slices.Contains(m.NoneOf, tag):
		return &PreconditionError{NoneMatch: true}
	}
	return nil
}

// OfVersion returns the tag of an object that shows only its own row.
func OfVersion(version int64) string { return strconv.FormatInt(version, 10) }

// OfText returns the tag of an object whose whole state is in the text.
func OfText(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// AppendState appends the state of a row. The version alone is not enough: after a restore, a version can have another state.
func AppendState(b []byte, id uuid.UUID, version int64, updated time.Time) []byte {
	b = append(b, id[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(version)) //nolint:gosec // bits of a hash, not a number
	return binary.BigEndian.AppendUint64(b, uint64(updated.UnixMilli()))
}
