// Package etag makes entity tags of what a response shows, and holds conditional requests to them (RFC 9110, 8.8.3 and 13.1).
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

// Match binds a write to the tag that it finds. The zero value refuses every tag.
type Match struct {
	Tags   []string // the object must have one of these
	Any    bool     // it may have any other, too
	Except []string // it must have none of these
	Never  bool     // the object must not exist
}

// PreconditionError says that the object has none of the tags that it must have. Nothing was written.
type PreconditionError struct {
	Except bool // it has one that it must not have, or it must not exist
}

func (e *PreconditionError) Error() string { return "the object is not as it must be" }

// Check refuses a write at this tag with PreconditionError. A nil match refuses none.
func (m *Match) Check(tag string) error {
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

// OfVersion is the tag of a row that shows nothing but itself.
func OfVersion(version int64) string { return strconv.FormatInt(version, 10) }

// OfText is the tag of what is described by a text, which changes with anything that is shown.
func OfText(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// AppendState appends the state of a row. The version alone would be that of another state after a restore.
func AppendState(b []byte, id uuid.UUID, version int64, updated time.Time) []byte {
	b = append(b, id[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(version)) //nolint:gosec // bits of a hash, not a number
	return binary.BigEndian.AppendUint64(b, uint64(updated.UnixMilli()))
}
