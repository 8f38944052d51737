package strictjson

import (
	"fmt"
	"strings"
	"testing"
	"unicode"
)

// Every code point, raw and escaped, is refused if it is a noncharacter and accepted if it is any other character.
func TestNoncharacters(t *testing.T) {
	t.Parallel()
	refused := 0
	var plain, escapes strings.Builder
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
		if want { // parsed below, all together
			plain.WriteString(text)
			escapes.WriteString(escaped)
			continue
		}
		for _, in := range []string{text, escaped} {
			if doc, err := Parse([]byte(`"`+in+`"`), Options{}); err == nil {
				t.Errorf("%U as %q: %v", r, in, doc.Value)
			}
		}
	}
	for _, in := range []string{plain.String(), escapes.String()} {
		if doc, err := Parse([]byte(`"`+in+`"`), Options{}); err != nil || doc.Value != plain.String() {
			t.Errorf("all others: %v", err)
		}
	}
	if refused != 66 {
		t.Errorf("%d noncharacters, Unicode has 66", refused)
	}
	if IsText("\xff") || IsText("\xed\xa0\x80") || !IsText("") {
		t.Error("IsText accepts invalid UTF-8 or refuses the empty text")
	}
}
