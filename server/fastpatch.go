package server

import (
	"bytes"

	"github.com/clientapps/clientapps/store"
)

// scanAppPatch reads the body of an updateApp that is certainly valid, in one pass: the three fields by their exact names,
// at most once each, with true, false, null or a plain integer in range. It says no to everything else, valid or not: that
// goes to the strict parser and the validator, whose word is final. What it accepts they accept too, and read alike.
func scanAppPatch(body []byte) (store.Fields, bool) {
	s := scanner{rest: body}
	if !s.token('{') {
		return nil, false
	}
	fields := make(store.Fields, 3)
	if s.token('}') {
		return fields, s.end()
	}
	for {
		column, nullable, ok := s.column()
		if !ok || !s.token(':') {
			return nil, false
		}
		if _, twice := fields[column]; twice {
			return nil, false
		}
		value, ok := s.value(nullable)
		if !ok {
			return nil, false
		}
		fields[column] = value
		if s.token('}') {
			return fields, s.end()
		}
		if !s.token(',') {
			return nil, false
		}
	}
}

type scanner struct{ rest []byte }

func (s *scanner) space() {
	for len(s.rest) > 0 && (s.rest[0] == ' ' || s.rest[0] == '\n' || s.rest[0] == '\r' || s.rest[0] == '\t') {
		s.rest = s.rest[1:]
	}
}

// token steps over white space and one byte, if that comes next.
func (s *scanner) token(c byte) bool {
	s.space()
	if len(s.rest) == 0 || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

func (s *scanner) end() bool {
	s.space()
	return len(s.rest) == 0
}

func (s *scanner) word(text string) bool {
	if len(s.rest) < len(text) || string(s.rest[:len(text)]) != text {
		return false
	}
	s.rest = s.rest[len(text):]
	return true
}

// column reads a field's name. nullable says that its value is an integer or null, and not a boolean.
func (s *scanner) column() (column store.Column, nullable, ok bool) {
	s.space()
	switch {
	case s.word(`"is_favorite"`):
		return store.ColumnIsFavorite, false, true
	case s.word(`"is_approved"`):
		return store.ColumnIsApproved, false, true
	case s.word(`"license_count"`):
		return store.ColumnLicenseCount, true, true
	}
	return "", false, false
}

func (s *scanner) value(nullable bool) (any, bool) {
	s.space()
	switch {
	case nullable && s.word("null"):
		return nil, true
	case nullable:
		return s.count()
	case s.word("true"):
		return true, true
	case s.word("false"):
		return false, true
	}
	return nil, false
}

// count reads 0 to 2147483647 in plain digits.
func (s *scanner) count() (any, bool) {
	digits := len(s.rest) - len(bytes.TrimLeft(s.rest, "0123456789"))
	if digits == 0 || digits > 10 || digits > 1 && s.rest[0] == '0' {
		return nil, false
	}
	n := int64(0)
	for _, c := range s.rest[:digits] {
		n = n*10 + int64(c-'0')
	}
	if s.rest = s.rest[digits:]; n > 1<<31-1 || len(s.rest) > 0 && (s.rest[0] == '.' || s.rest[0]|0x20 == 'e') {
		return nil, false
	}
	return int32(n), true
}
