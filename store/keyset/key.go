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

// Key is one thing to sort by: a column, its value as text for a Position, and back. value takes only what text makes:
// a database may refuse anything else, and its error would not say that the client's cursor caused it.
type Key[T any] struct {
	column        string
	text          func(T) string
	value         func(string) (any, error)
	compare       func(a, b T) int
	compareCursor func(row T, value any) int // compare, with what value has made of a text
}

// TextKey sorts by a column of text that compares bytewise.
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
		//nolint:errcheck,forcetypeassert // value gives a string
		compareCursor: func(row T, value any) int { return cmp.Compare(of(row), value.(string)) },
	}
}

// IntKey sorts by a column of integers.
func IntKey[T any](column string, of func(T) int64) Key[T] {
	return Key[T]{
		column:  column,
		text:    func(row T) string { return strconv.FormatInt(of(row), 10) },
		value:   func(text string) (any, error) { return canonicalInt(text) },
		compare: func(a, b T) int { return cmp.Compare(of(a), of(b)) },
		//nolint:errcheck,forcetypeassert // value gives an int64
		compareCursor: func(row T, value any) int { return cmp.Compare(of(row), value.(int64)) },
	}
}

// TimeKey sorts by a column of times, which have whole milliseconds.
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
	//nolint:errcheck,forcetypeassert // value gives a time
	key.compareCursor = func(row T, value any) int { return of(row).Compare(value.(time.Time)) }
	return key
}

// canonicalInt reads an integer as strconv.FormatInt writes it: +1, 01 and -0 are none.
func canonicalInt(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != text {
		return 0, errors.New("not an integer in its shortest form")
	}
	return n, nil
}

// IsID says whether a text is an id as String writes it.
func IsID(text string) bool {
	id, err := uuid.Parse(text)
	return err == nil && id.String() == text
}
