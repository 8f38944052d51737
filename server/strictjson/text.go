package strictjson

import "unicode/utf8"

// IsText reports whether a text is valid UTF-8 without Unicode's noncharacters, which must not be exchanged (RFC 7493, 2.1).
func IsText(text string) bool {
	_, found := noncharacter([]byte(text))
	return !found && utf8.ValidString(text)
}

// noncharacter returns the first noncharacter of a UTF-8 text. All of them start with a byte of at least 0xEF.
func noncharacter(text []byte) (r rune, found bool) {
	for i, c := range text {
		if c < 0xef {
			continue
		}
		if r, _ = utf8.DecodeRune(text[i:]); isNoncharacter(r) {
			return r, true
		}
	}
	return 0, false
}

// isNoncharacter reports U+FDD0 to U+FDEF and the last two code points of each of the 17 planes (Unicode 23.7).
func isNoncharacter(r rune) bool {
	return 0xfdd0 <= r && r <= 0xfdef || r&0xfffe == 0xfffe
}
