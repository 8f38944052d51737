// Package casefold makes the keys by which names are compared.
package casefold

import (
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Name returns the key by which names are sorted, searched and kept unique: full Unicode case folding of the decomposed
// name, composed again, compared bytewise. Names that are canonical caseless matches have one key (Unicode 3.13, D145).
func Name(name string) string {
	return norm.NFC.String(strings.Map(foldCherokee, cases.Fold().String(norm.NFD.String(name))))
}

// foldCherokee folds Cherokee to capitals, as Unicode has it. The library folds each case to the other.
func foldCherokee(r rune) rune {
	switch {
	case 0xab70 <= r && r <= 0xabbf:
		return r - 0xab70 + 0x13a0
	case 0x13f8 <= r && r <= 0x13fd:
		return r - 0x13f8 + 0x13f0
	}
	return r
}
