package main

import (
	"bytes"
	"math"
	"net/http"
	"strconv"
)

// fields is the set of fields in a patch.
type fields uint8

const (
	setFavorite fields = 1 << iota
	setApproved
	setLicenses
)

// change is a patch.
type change struct {
	set      fields
	favorite bool
	approved bool
	licenses *int32
}

func bad(message, details string) *refusal {
	return refuse(http.StatusBadRequest, "invalid_request", message, details)
}

var malformed = bad("Request body is not valid JSON", "")

// scanner reads a flat JSON object, as in a patch.
type scanner struct {
	text []byte
	at   int
}

// peek skips white space and returns the next byte without consuming it, or 0 at the end.
func (s *scanner) peek() byte {
	for s.at < len(s.text) {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

// name reads a string without escapes.
func (s *scanner) name() (string, bool) {
	if !s.take('"') {
		return "", false
	}
	end := bytes.IndexByte(s.text[s.at:], '"')
	if end < 0 || bytes.IndexByte(s.text[s.at:s.at+end], '\\') >= 0 {
		return "", false
	}
	name := s.text[s.at : s.at+end]
	s.at += end + 1
	return string(name), true
}

// literal reads a number, true, false or null. It returns "" for anything else.
func (s *scanner) literal() string {
	s.peek()
	start := s.at
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '+', c == '.', c == 'E':
			s.at++
			continue
		}
		break
	}
	return string(s.text[start:s.at])
}

// scanPatch validates and reads a body in one pass.
func scanPatch(body []byte) (c change, refused *refusal) {
	s := &scanner{text: body}
	if !s.take('{') {
		return c, malformed
	}
	for first := true; !s.take('}'); first = false {
		if !first && !s.take(',') {
			return c, malformed
		}
		name, ok := s.name()
		if !ok || !s.take(':') {
			return c, malformed
		}
		if refused := c.field(name, s); refused != nil {
			return c, refused
		}
	}
	if s.peek() != 0 {
		return c, malformed
	}
	return c, nil
}

func (c *change) field(name string, s *scanner) *refusal {
	var field fields
	switch name {
	case "is_favorite":
		field = setFavorite
	case "is_approved":
		field = setApproved
	case "license_count":
		field = setLicenses
	default:
		return notWritable(name)
	}
	if c.set&field != 0 {
		return malformed // a duplicate
	}
	c.set |= field
	text := s.literal()
	if field == setLicenses {
		return c.count(text)
	}
	if text != "true" && text != "false" {
		return bad(name+" must be a boolean value", "")
	}
	if field == setFavorite {
		c.favorite = text == "true"
	} else {
		c.approved = text == "true"
	}
	return nil
}

func (c *change) count(text string) *refusal {
	if text == "null" {
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || f != math.Trunc(f) {
			return bad("license_count must be an integer or null", "")
		}
		n = int64(f)
	}
	if n < 0 || n > math.MaxInt32 {
		return bad("license_count must be between 0 and 2147483647", "")
	}
	count := int32(n)
	c.licenses = &count
	return nil
}

func notWritable(name string) *refusal {
	reason := "Managed through the Catalog Apps domain"
	switch name {
	case "id":
		reason = "Immutable identifier"
	case "created_at", "updated_at":
		reason = "System-managed timestamp"
	case "catalog_app", "name", "canonical_name", "logo", "vendor", "categories", "description", "display_colour", "type":
	default:
		return bad("Unknown field '"+name+"'", `{"field":"`+name+`"}`)
	}
	return bad("Field '"+name+"' cannot be updated via this endpoint", `{"field":"`+name+`","reason":"`+reason+`"}`)
}
