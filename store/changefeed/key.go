// Package changefeed defines the order of a change feed, keeps its state, and passes new changes to its followers. It does not know
// what a change is.
package changefeed

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// Key is the place of a change in a feed. Keys are compared field by field, in this order.
type Key struct {
	Position int64
	ClientID uuid.UUID
	AppID    uuid.UUID
	Version  int64
	Field    string
}

// Before returns the key before all changes that have this position or a later one.
func Before(position int64) Key { return Key{Position: position} }

// Compare returns -1, 0 or 1.
func (k Key) Compare(o Key) int {
	return cmp.Or(
		cmp.Compare(k.Position, o.Position), bytes.Compare(k.ClientID[:], o.ClientID[:]), bytes.Compare(k.AppID[:], o.AppID[:]),
		cmp.Compare(k.Version, o.Version), strings.Compare(k.Field, o.Field),
	)
}

// String returns the key as text.
func (k Key) String() string {
	if k == Before(k.Position) {
		return strconv.FormatInt(k.Position, 10)
	}
	return fmt.Sprintf("%d:%s:%s:%d:%s", k.Position, k.ClientID, k.AppID, k.Version, k.Field)
}

// ErrKey says that a text is not what String returns.
var ErrKey = errors.New("not a key of a change feed")

// Parse returns the key whose text this is, or ErrKey.
func Parse(text string) (Key, error) {
	parts := strings.Split(text, ":")
	position, err := strconv.ParseInt(parts[0], 10, 64)
	k := Before(position)
	if err == nil && len(parts) == 5 {
		var errs [3]error
		k.ClientID, errs[0] = uuid.Parse(parts[1])
		k.AppID, errs[1] = uuid.Parse(parts[2])
		k.Version, errs[2] = strconv.ParseInt(parts[3], 10, 64)
		if k.Field, err = parts[4], errors.Join(errs[:]...); strings.Trim(k.Field, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			return Key{}, ErrKey
		}
	}
	if err != nil || position < 0 || k.String() != text {
		return Key{}, ErrKey
	}
	return k, nil
}
