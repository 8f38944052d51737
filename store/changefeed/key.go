// Package changefeed has the order of a change feed, and hands what is new in it to those who follow it. It does not know what
// a change is.
package changefeed

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Key is the place of a change in a feed. Its fields are compared in their order.
type Key struct {
	Position  int64
	ChangedAt time.Time // whole milliseconds
	ClientID  uuid.UUID
	AppID     uuid.UUID
	Version   int64
	Field     string
}

// Before returns the key before all changes that have this position or a later one.
func Before(position int64) Key { return Key{Position: position, ChangedAt: time.UnixMilli(0).UTC()} }

// Compare returns -1, 0 or 1.
func (k Key) Compare(o Key) int {
	return cmp.Or(
		cmp.Compare(k.Position, o.Position), k.ChangedAt.Compare(o.ChangedAt), bytes.Compare(k.ClientID[:], o.ClientID[:]),
		bytes.Compare(k.AppID[:], o.AppID[:]), cmp.Compare(k.Version, o.Version), strings.Compare(k.Field, o.Field),
	)
}

// String returns the key as text.
func (k Key) String() string {
	if k == Before(k.Position) {
		return strconv.FormatInt(k.Position, 10)
	}
	return fmt.Sprintf("%d:%d:%s:%s:%d:%s", k.Position, k.ChangedAt.UnixMilli(), k.ClientID, k.AppID, k.Version, k.Field)
}

// ErrKey says that a text is not what String returns.
var ErrKey = errors.New("not a key of a change feed")

// maxMilli is the end of the year 9999.
const maxMilli = 253402300799999

// Parse returns the key whose text this is, or ErrKey.
func Parse(text string) (Key, error) {
	parts := strings.Split(text, ":")
	position, err := strconv.ParseInt(parts[0], 10, 64)
	k := Before(position)
	if err == nil && len(parts) == 6 {
		var at int64
		var errs [4]error
		at, errs[0] = strconv.ParseInt(parts[1], 10, 64)
		k.ClientID, errs[1] = uuid.Parse(parts[2])
		k.AppID, errs[2] = uuid.Parse(parts[3])
		k.Version, errs[3] = strconv.ParseInt(parts[4], 10, 64)
		k.ChangedAt, k.Field, err = time.UnixMilli(at).UTC(), parts[5], errors.Join(errs[:]...)
		if at < 0 || at > maxMilli || strings.Trim(k.Field, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			return Key{}, ErrKey
		}
	}
	if err != nil || position < 0 || k.String() != text {
		return Key{}, ErrKey
	}
	return k, nil
}
