package strictjson

import (
	"fmt"
	"testing"
	"unicode"
)

// Every code point, raw and escaped, is refused if it is a noncharacter and accepted if it is any other character.
func TestNoncharacters(t *testing.T) {
	t.Parallel()
	refused := 0
	for r := rune(0x20); r <= unicode.MaxRune; r++ {
		if 0xd800 <= r && r <= 0xdfff || r == '"' || r == '\\' {
			continue
		}
		want := !unicode.Is(unicode.Noncharacter_Code_Point, r)
		if !want {
			refused++
		}
		text := string(r)
		if got := IsText("x" + text); got != want {
			t.Errorf("%U is text: %t", r, got)
		}
		escaped := fmt.Sprintf(`\u%04x`, r)
		if r > 0xffff {
			escaped = fmt.Sprintf(`\u%04x\u%04X`, 0xd7c0+r>>10, 0xdc00+r&0x3ff)
		}
		for _, in := range []string{text, escaped} {
			doc, err := Parse([]byte(`"`+in+`"`), Options{})
			if (err == nil) != want || want && doc.Value != text {
				t.Errorf("%U as %q: %v %v", r, in, doc.Value, err)
			}
		}
	}
	if refused != 66 {
		t.Errorf("%d noncharacters, Unicode has 66", refused)
	}
	if IsText("\xff") || IsText("\xed\xa0\x80") || !IsText("") {
		t.Error("IsText accepts invalid UTF-8 or refuses the empty text")
	}
}
