package keyset

import (
	"cmp"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Key is a column to sort by. text returns its value as text for a Position, and value converts that back. value accepts only what text
// can return, because a database may refuse other values with an error that does not name the cause.
type Key[T any] struct {
	column        string
	text          func(T) string
	value         func(string) (any, error)
	compare       func(a, b T) int
	compareCursor func(row T, value any) int // like compare, with a result of value
}

// TextKey returns the key of a text column that is compared bytewise.
func TextKey[T any](column string, of func(T) string) Key[T] {
	return Key[T]{
		column: column,
		text:   of,
		value: func(text string) (any, error) {
			// PostgreSQL refuses both in a parameter (SQLSTATE 22021).
			if !utf8.ValidString(text) || strings.Contains(text, "\x00") {
				return nil, errors.New("text that no column can have")
			}
			return text, nil
		},
		compare: func(a, b T) int { return cmp.Compare(of(a), of(b)) },
		//nolint:errcheck,forcetypeassert // value returns a string
		compareCursor: func(row T, value any) int { return cmp.Compare(of(row), value.(string)) },
	}
}

// IntKey returns the key of an integer column.
func IntKey[T any](column string, of func(T) int64) Key[T] {
	return Key[T]{
		column:  column,
		text:    func(row T) string { return strconv.FormatInt(of(row), 10) },
		value:   func(text string) (any, error) { return canonicalInt(text) },
		compare: func(a, b T) int { return cmp.Compare(of(a), of(b)) },
		//nolint:errcheck,forcetypeassert // value returns an int64
		compareCursor: func(row T, value any) int { return cmp.Compare(of(row), value.(int64)) },
	}
}

// TimeKey returns the key of a column of times, which have whole milliseconds.
func TimeKey[T any](column string, of func(T) time.Time) Key[T] {
	key := IntKey(column, func(row T) int64 { return of(row).UnixMilli() })
	key.value = func(text string) (any, error) {
		ms, err := canonicalInt(text)
		if err != nil {
			return nil, err
		}
		at := time.UnixMilli(ms).UTC()
		if year := at.Year(); year < 1 || year > 9999 {
			return nil, errors.New("time that the API cannot show")
		}
		return at, nil
	}
	//nolint:errcheck,forcetypeassert // value returns a time
	key.compareCursor = func(row T, value any) int { return of(row).Compare(value.(time.Time)) }
	return key
}

// canonicalInt parses an integer in the form of strconv.FormatInt. It refuses +1, 01 and -0.
func canonicalInt(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != text {
		return 0, errors.New("not an integer in its shortest form")
	}
	return n, nil
}

// IsID reports whether a text is an id in the form of uuid.UUID.String.
func IsID(text string) bool {
	id, err := uuid.Parse(text)
	return err == nil && id.String() == text
}
