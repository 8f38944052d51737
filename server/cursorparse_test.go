package server

import (
	"testing"

	"github.com/clientapps/clientapps/store"
)

// FuzzParseCursor checks that each position has exactly one cursor: encoding a parsed cursor gives the same text.
func FuzzParseCursor(f *testing.F) {
	const scope = "listApps\n/v2/clients/x/apps\n"
	for _, p := range []store.Position{
		{},
		{SortKey: "slack", TieBreaker: "f1a2b3c4-d5e6-7890-abcd-ef1234567890"},
		{SortKey: "\xff", TieBreaker: "\x00"},
		{SortKey: "1", TieBreaker: "a\x00b"},
	} {
		f.Add(formatCursor(p, scope), scope)
		f.Add(formatCursor(p, scope)+"A", scope)
		f.Add(formatCursor(p, scope), scope+"q=a")
	}
	for _, text := range []string{"", "A", "AAECAwQFBgc", "AAECAwQFBgcI=", "====", "\n", "HCx98yQ\r\r\r\r\r\r\r\r0EtkA"} {
		f.Add(text, scope)
	}
	f.Fuzz(func(t *testing.T, text, scope string) {
		p, ok := parseCursor(text, scope)
		if !ok {
			return
		}
		if again := formatCursor(p, scope); again != text {
			t.Errorf("%q is read as %+v, which is written %q", text, p, again)
		}
		if again, ok := parseCursor(formatCursor(p, scope), scope); !ok || again != p {
			t.Errorf("%+v is read again as %+v, %v", p, again, ok)
		}
	})
}
