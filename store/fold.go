package store

import "golang.org/x/text/cases"

// FoldName returns the key by which names are sorted, searched and kept unique: full Unicode case folding, compared bytewise.
func FoldName(name string) string { return cases.Fold().String(name) }
