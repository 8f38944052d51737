package validate

import (
	"bytes"

	"github.com/clientapps/clientapps/server/strictjson"
)

// scanner reads a JSON text in its usual spelling. It does not support escapes, exponents or fractions.
type scanner struct {
	text  []byte
	pos   int
	nodes int // values and names so far
}

func (s *scanner) skipSpace() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case ' ', '\n', '\r', '\t':
			s.pos++
		default:
			return
		}
	}
}

// token skips white space and one byte, if that is next.
func (s *scanner) token(c byte) bool {
	s.skipSpace()
	if s.pos == len(s.text) || s.text[s.pos] != c {
		return false
	}
	s.pos++
	return true
}

// end reports whether only white space follows.
func (s *scanner) end() bool {
	s.skipSpace()
	return s.pos == len(s.text)
}

func (s *scanner) literal(text string) bool {
	if len(s.text)-s.pos < len(text) || string(s.text[s.pos:s.pos+len(text)]) != text {
		return false
	}
	s.pos += len(text)
	return true
}

// integer reads at most 18 digits, optionally with a minus sign, but not -0. It does not check what follows.
func (s *scanner) integer() (n int64, ok bool) {
	negative := s.pos < len(s.text) && s.text[s.pos] == '-'
	if negative {
		s.pos++
	}
	begin := s.pos
	for s.pos < len(s.text) && s.text[s.pos]-'0' <= 9 {
		n = n*10 + int64(s.text[s.pos]-'0')
		if s.pos++; s.pos-begin > 18 {
			return 0, false
		}
	}
	if s.pos == begin || s.text[begin] == '0' && (negative || s.pos-begin > 1) {
		return 0, false
	}
	if negative {
		n = -n
	}
	return n, true
}

// string reads a string without escapes and returns the text between the quotes.
func (s *scanner) string() (text []byte, ok bool) {
	if !s.literal(`"`) {
		return nil, false
	}
	length := bytes.IndexByte(s.text[s.pos:], '"')
	if length < 0 {
		return nil, false
	}
	text = s.text[s.pos : s.pos+length]
	s.pos += length + 1
	ascii := true
	for _, c := range text {
		if c < ' ' || c == '\\' {
			return nil, false
		}
		ascii = ascii && c < 0x80
	}
	return text, ascii || strictjson.IsText(string(text))
}
