package validate

import (
	"bytes"

	"github.com/clientapps/clientapps/server/strictjson"
)

// scanner reads a JSON text in its usual spelling. It does not support escapes, exponents or fractions.
type scanner struct {
	text  []byte
	at    int
	nodes int // values and names so far
}

func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\n', '\r', '\t':
			s.at++
		default:
			return
		}
	}
}

// token skips white space and one byte, if that is next.
func (s *scanner) token(c byte) bool {
	s.space()
	if s.at == len(s.text) || s.text[s.at] != c {
		return false
	}
	s.at++
	return true
}

// end reports whether only white space follows.
func (s *scanner) end() bool {
	s.space()
	return s.at == len(s.text)
}

func (s *scanner) word(text string) bool {
	if len(s.text)-s.at < len(text) || string(s.text[s.at:s.at+len(text)]) != text {
		return false
	}
	s.at += len(text)
	return true
}

// integer reads at most 18 digits, optionally with a minus sign, but not -0. It does not check what follows.
func (s *scanner) integer() (n int64, ok bool) {
	negative := s.at < len(s.text) && s.text[s.at] == '-'
	if negative {
		s.at++
	}
	begin := s.at
	for s.at < len(s.text) && s.text[s.at]-'0' <= 9 {
		n = n*10 + int64(s.text[s.at]-'0')
		if s.at++; s.at-begin > 18 {
			return 0, false
		}
	}
	if s.at == begin || s.text[begin] == '0' && (negative || s.at-begin > 1) {
		return 0, false
	}
	if negative {
		n = -n
	}
	return n, true
}

// string reads a string without escapes and returns the text between the quotes.
func (s *scanner) string() (text []byte, ok bool) {
	if !s.word(`"`) {
		return nil, false
	}
	length := bytes.IndexByte(s.text[s.at:], '"')
	if length < 0 {
		return nil, false
	}
	text = s.text[s.at : s.at+length]
	s.at += length + 1
	ascii := true
	for _, c := range text {
		if c < ' ' || c == '\\' {
			return nil, false
		}
		ascii = ascii && c < 0x80
	}
	return text, ascii || strictjson.IsText(string(text))
}
