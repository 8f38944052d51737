package casefold_test

import (
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/clientapps/clientapps/store/casefold"
)

func TestFoldName(t *testing.T) {
	t.Parallel()
	for _, same := range [][]string{
		{"Slack", "SLACK", "slack"},
		{"straße", "STRASSE", "Strasse"},
		{"σίσυφος", "ΣΊΣΥΦΟΣ", "σίσυφοσ"},
		{"ﬃ", "FFI"},
		{"Éclair", "éclair"},
		{"😀", "😀"},
	} {
		for _, name := range same {
			if got, want := casefold.Name(name), casefold.Name(same[0]); got != want {
				t.Errorf("%q has the key %q, and %q has %q", name, got, same[0], want)
			}
		}
	}
	for _, pair := range [][2]string{{"eclair", "éclair"}, {"istanbul", "ıstanbul"}, {"a", "ä"}, {"a b", "ab"}} {
		if casefold.Name(pair[0]) == casefold.Name(pair[1]) {
			t.Errorf("%q and %q have the same key", pair[0], pair[1])
		}
	}
}

// Names that are canonical caseless matches have the same key.
func TestCanonicalCaselessMatches(t *testing.T) {
	t.Parallel()
	for _, same := range [][]string{
		{"Café", "Cafe\u0301", "CAFÉ", "CAFE\u0301"},
		{"Å", "A\u030a", "\u212b", "å"},
		{"ǰ", "J\u030c", "j\u030c"},
		{"Straße", "STRASSE", "straẞe"},
		{"각", "\u1100\u1161\u11a8"},
		{"q\u0323\u0307", "q\u0307\u0323", "Q\u0307\u0323"},
		{"\u1fb3", "\u0391\u0345", "\u03b1\u03b9"},
		{"\u0345\u0301", "\u0301\u0345"},
	} {
		for _, name := range same[1:] {
			if got, want := casefold.Name(name), casefold.Name(same[0]); got != want {
				t.Errorf("%q has the key %q, and %q has %q", name, got, same[0], want)
			}
		}
		if once := casefold.Name(same[0]); casefold.Name(once) != once {
			t.Errorf("%q has the key %q, which has the key %q", same[0], once, casefold.Name(once))
		}
	}
	for _, different := range [][2]string{{"Café", "Cafe"}, {"①", "1"}, {"ﬁ", "f i"}, {"i", "ı"}} {
		if casefold.Name(different[0]) == casefold.Name(different[1]) {
			t.Errorf("%q and %q have the same key", different[0], different[1])
		}
	}
}

// A character has the same key as its other cases and forms. The key of a key is the key itself.
func TestEveryCharacterFolds(t *testing.T) {
	t.Parallel()
	for r := range rune(unicode.MaxRune + 1) {
		if !utf8.ValidRune(r) {
			continue
		}
		name := string(r)
		key := casefold.Name(name)
		for _, same := range []string{key, string(unicode.SimpleFold(r)), norm.NFC.String(name), norm.NFD.String(name), norm.NFD.String(key)} {
			if same == name { // as it is for most characters
				continue
			}
			if got := casefold.Name(same); got != key {
				t.Errorf("%U has the key %+q, and %+q has %+q", r, key, same, got)
			}
		}
	}
}
