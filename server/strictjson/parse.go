// Package strictjson parses JSON (RFC 8259) as narrowed by I-JSON (RFC 7493), so that a text has one meaning or is refused. It
// bounds the memory of a document, and keeps the order of names.
package strictjson

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds the nesting of arrays and objects.
const maxDepth = 64

// Options bounds a document and selects what is kept of it. The zero value keeps everything without a bound.
type Options struct {
	// MaxNodes bounds the values and names of the document on all levels. 0 sets no bound.
	MaxNodes int
	// Keep reports whether to keep the value of a name of the outermost object. A value that is not kept is checked but not
	// built, and its name appears only in Document.Keys. nil keeps all values.
	Keep func(name string) bool
}

// Document is a parsed JSON text. Objects are map[string]any, arrays []any. A number is an int64 if it is an integer that fits,
// in any spelling (50, 50.0, 5e1), and otherwise a float64.
type Document struct {
	Value   any
	Keys    []string // of the outermost object, in document order
	Nodes   int      // values and names, including those that were not kept
	Dropped bool     // Keys has a name whose value was not kept
}

// SyntaxError says why a text is refused, as the end of a sentence whose subject is the text: "is empty".
type SyntaxError string

// Error implements error.
func (e SyntaxError) Error() string { return string(e) }

// Parse parses one JSON text in UTF-8. It refuses a byte order mark, duplicate names, lone surrogates, noncharacters and text after
// the value. Options.Keep does not change which texts are refused, or with which error. Every error is a SyntaxError.
func Parse(text []byte, options Options) (Document, error) {
	p := parser{data: text, Options: options}
	switch {
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf")):
		return Document{}, SyntaxError("must not start with a byte order mark")
	case !utf8.Valid(text):
		return Document{}, SyntaxError("is not valid UTF-8")
	}
	if r, found := noncharacter(text); found {
		return Document{}, errNoncharacter(r)
	}
	p.skipSpace()
	if p.pos == len(text) {
		return Document{}, SyntaxError("is empty")
	}
	value, err := p.value(1, true)
	if err != nil {
		return Document{}, err
	}
	if p.skipSpace(); p.pos < len(text) {
		return Document{}, SyntaxError("has data behind its JSON value")
	}
	return Document{Value: value, Keys: p.keys, Nodes: p.nodes, Dropped: p.dropped}, nil
}

type parser struct {
	Options

	data    []byte
	pos     int
	keys    []string
	nodes   int
	dropped bool
}

func (p *parser) syntaxError() error {
	return SyntaxError(fmt.Sprintf("is not valid JSON at byte %d", p.pos))
}

func (p *parser) skipSpace() {
	for p.pos < len(p.data) {
		switch p.data[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

// peek returns the next byte, or 0 at the end: a zero byte is invalid everywhere in JSON.
func (p *parser) peek() byte {
	if p.pos < len(p.data) {
		return p.data[p.pos]
	}
	return 0
}

// count counts one value or name.
func (p *parser) count() error {
	p.nodes++
	if p.MaxNodes > 0 && p.nodes > p.MaxNodes {
		return SyntaxError(fmt.Sprintf("has more than %d values and names", p.MaxNodes))
	}
	return nil
}

// value parses a value and returns it if keep is set.
func (p *parser) value(depth int, keep bool) (any, error) {
	if err := p.count(); err != nil {
		return nil, err
	}
	switch c := p.peek(); {
	case c == '{':
		return p.object(depth, keep)
	case c == '[':
		return p.array(depth, keep)
	case c == '"':
		text, err := p.string(keep)
		if err != nil || !keep {
			return nil, err
		}
		return text, nil
	case c == '-' || '0' <= c && c <= '9':
		return p.number(keep)
	}
	for _, literal := range []struct {
		text  string
		value any
	}{{"true", true}, {"false", false}, {"null", nil}} {
		if bytes.HasPrefix(p.data[p.pos:], []byte(literal.text)) {
			p.pos += len(literal.text)
			return literal.value, nil
		}
	}
	return nil, p.syntaxError()
}

func (p *parser) object(depth int, keep bool) (any, error) {
	if depth > maxDepth {
		return nil, errTooDeep
	}
	var (
		object  map[string]any
		dropped nameSet // names whose values are not kept
	)
	if keep {
		object = map[string]any{}
	}
	p.pos++
	if p.skipSpace(); p.peek() == '}' {
		p.pos++
		return object, nil
	}
	for {
		if p.skipSpace(); p.peek() != '"' {
			return nil, p.syntaxError()
		}
		if err := p.count(); err != nil {
			return nil, err
		}
		key, err := p.string(true)
		if err != nil {
			return nil, err
		}
		kept := keep && (depth > 1 || p.Keep == nil || p.Keep(key))
		_, duplicate := object[key]
		if !kept {
			duplicate = !dropped.add(key)
		}
		if duplicate {
			return nil, SyntaxError(fmt.Sprintf("has the key '%s' twice", ShortName(key)))
		}
		if p.skipSpace(); p.peek() != ':' {
			return nil, p.syntaxError()
		}
		p.pos++
		p.skipSpace()
		if depth == 1 {
			p.keys = append(p.keys, key)
			p.dropped = p.dropped || !kept
		}
		value, err := p.value(depth+1, kept)
		if err != nil {
			return nil, err
		}
		if kept {
			object[key] = value
		}
		if more, err := p.next('}'); err != nil || !more {
			return object, err
		}
	}
}

func (p *parser) array(depth int, keep bool) (any, error) {
	if depth > maxDepth {
		return nil, errTooDeep
	}
	var array []any
	if keep {
		array = []any{}
	}
	p.pos++
	if p.skipSpace(); p.peek() == ']' {
		p.pos++
		return array, nil
	}
	for {
		p.skipSpace()
		value, err := p.value(depth+1, keep)
		if err != nil {
			return nil, err
		}
		if keep {
			array = append(array, value)
		}
		if more, err := p.next(']'); err != nil || !more {
			return array, err
		}
	}
}

// nameSet is the names of one object. The first few need no allocation.
type nameSet struct {
	few  [8]string
	n    int // used elements of few
	many map[string]struct{}
}

// add reports whether the name is new.
func (s *nameSet) add(name string) bool {
	if slices.Contains(s.few[:s.n], name) {
		return false
	}
	if s.n < len(s.few) {
		s.few[s.n] = name
		s.n++
		return true
	}
	if _, ok := s.many[name]; ok {
		return false
	}
	if s.many == nil {
		s.many = map[string]struct{}{}
	}
	s.many[name] = struct{}{}
	return true
}

func errNoncharacter(r rune) error { return SyntaxError(fmt.Sprintf("has the noncharacter %U", r)) }

const errTooDeep = SyntaxError("is nested more than 64 levels deep")

// next skips a comma (more) or the closing byte.
func (p *parser) next(closing byte) (more bool, err error) {
	p.skipSpace()
	switch p.peek() {
	case ',':
		p.pos++
		return true, nil
	case closing:
		p.pos++
		return false, nil
	}
	return false, p.syntaxError()
}

// string parses a string and returns it if keep is set.
func (p *parser) string(keep bool) (string, error) {
	p.pos++
	start := p.pos
	for p.pos < len(p.data) {
		switch c := p.data[p.pos]; {
		case c == '"':
			raw := p.data[start:p.pos]
			p.pos++
			if !keep {
				return "", nil
			}
			return string(raw), nil
		case c == '\\':
			return p.stringWithEscapes(start, keep)
		case c < 0x20:
			return "", p.syntaxError()
		}
		p.pos++
	}
	return "", p.syntaxError()
}

// stringWithEscapes parses the rest of a string whose first backslash is at p.pos.
func (p *parser) stringWithEscapes(start int, keep bool) (string, error) {
	var text strings.Builder
	if keep {
		text.Grow(p.rawLength(start)) // in one allocation: growing a large string would take twice its size
		text.Write(p.data[start:p.pos])
	}
	for p.pos < len(p.data) {
		c := p.data[p.pos]
		switch {
		case c == '"':
			p.pos++
			return text.String(), nil
		case c < 0x20:
			return "", p.syntaxError()
		case c != '\\':
			if keep {
				text.WriteByte(c)
			}
			p.pos++
			continue
		}
		r, err := p.escape()
		if err != nil {
			return "", err
		}
		if keep {
			text.WriteRune(r)
		}
	}
	return "", p.syntaxError()
}

// rawLength returns the length in bytes of the string that starts at start, before unescaping.
func (p *parser) rawLength(start int) int {
	for i := start; i < len(p.data); i++ {
		switch p.data[i] {
		case '"':
			return i - start
		case '\\':
			i++
		}
	}
	return len(p.data) - start
}

// escape parses one escape sequence.
func (p *parser) escape() (rune, error) {
	p.pos++
	if p.peek() == 'u' {
		return p.unicode()
	}
	i := strings.IndexByte(`"\/bfnrt`, p.peek())
	if p.peek() == 0 || i < 0 {
		return 0, p.syntaxError()
	}
	p.pos++
	return rune("\"\\/\b\f\n\r\t"[i]), nil
}

// unicode parses uXXXX, or two of them that form a surrogate pair. RFC 7493 forbids lone surrogates and noncharacters.
func (p *parser) unicode() (rune, error) {
	r, ok := p.hex4()
	if !ok {
		return 0, p.syntaxError()
	}
	if utf16.IsSurrogate(r) {
		if r, ok = p.lowSurrogate(r); !ok {
			return 0, SyntaxError("has half a surrogate pair in a string")
		}
	}
	if isNoncharacter(r) {
		return 0, errNoncharacter(r)
	}
	return r, nil
}

// lowSurrogate parses the second half of a surrogate pair.
func (p *parser) lowSurrogate(hi rune) (r rune, ok bool) {
	if p.peek() != '\\' {
		return 0, false
	}
	p.pos++
	lo, ok := p.hex4()
	r = utf16.DecodeRune(hi, lo)
	return r, ok && r != utf8.RuneError
}

func (p *parser) hex4() (r rune, ok bool) {
	if len(p.data)-p.pos < 5 || p.data[p.pos] != 'u' {
		return 0, false
	}
	for _, c := range p.data[p.pos+1 : p.pos+5] {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	p.pos += 5
	return r, true
}

func (p *parser) digits() []byte {
	start := p.pos
	for '0' <= p.peek() && p.peek() <= '9' {
		p.pos++
	}
	return p.data[start:p.pos]
}

// number parses a number and returns it if keep is set.
func (p *parser) number(keep bool) (any, error) {
	start := p.pos
	negative := p.peek() == '-'
	if negative {
		p.pos++
	}
	whole := p.digits()
	if len(whole) == 0 || len(whole) > 1 && whole[0] == '0' {
		return nil, p.syntaxError()
	}
	var fraction []byte
	if p.peek() == '.' {
		p.pos++
		if fraction = p.digits(); len(fraction) == 0 {
			return nil, p.syntaxError()
		}
	}
	exponent := 0
	if p.peek() == 'e' || p.peek() == 'E' {
		p.pos++
		sign := p.peek()
		if sign == '+' || sign == '-' {
			p.pos++
		}
		digits := p.digits()
		if len(digits) == 0 {
			return nil, p.syntaxError()
		}
		exponent = 1 << 30 // too large for the digits of a body to compensate
		if digits = bytes.TrimLeft(digits, "0"); len(digits) < 10 {
			exponent, _ = strconv.Atoi("0" + string(digits))
		}
		if sign == '-' {
			exponent = -exponent
		}
	}
	if !keep {
		return nil, nil
	}
	return decodeNumber(string(p.data[start:p.pos]), negative, string(whole)+string(fraction), exponent-len(fraction)), nil
}

// decodeNumber decides with the decimal digits whether a number is an integer: rounding to float64 would make 50.00000000000000001
// an integer. The absolute value is digits × 10^exponent.
func decodeNumber(text string, negative bool, digits string, exponent int) any {
	significant := strings.TrimLeft(digits, "0")
	trimmed := strings.TrimRight(significant, "0")
	exponent += len(significant) - len(trimmed)
	if trimmed == "" {
		return int64(0)
	}
	if exponent >= 0 && len(trimmed)+exponent <= 18 {
		n, _ := strconv.ParseInt(trimmed+strings.Repeat("0", exponent), 10, 64) // at most 18 digits
		if negative {
			n = -n
		}
		return n
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil { // out of range, and so an integer: infinity would not be one
		f = math.Copysign(math.MaxFloat64, f)
	}
	if exponent < 0 && f == math.Trunc(f) {
		return 0.5 // a fraction that float64 cannot hold: 0.5 stands for it, since no schema accepts a fraction
	}
	return f
}

// ShortName shortens a name to 64 characters for a message.
func ShortName(name string) string {
	const most = 64
	if utf8.RuneCountInString(name) <= most {
		return name
	}
	return string([]rune(name)[:most]) + "…"
}
