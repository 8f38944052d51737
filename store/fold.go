package store

import (
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// FoldName returns the key by which names are sorted, searched and kept unique: full Unicode case folding of the decomposed
// name, composed again, compared bytewise. Names that are canonical caseless matches have one key (Unicode 3.13, D145).
func FoldName(name string) string {
	return norm.NFC.String(cases.Fold().String(norm.NFD.String(name)))
}
