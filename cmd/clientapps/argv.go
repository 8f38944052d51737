package main

import (
	"slices"
	"strings"
	"unsafe"
)

// hideArguments returns a copy of the arguments, and overwrites a token in the originals. Programs that list processes, such as ps,
// show the originals.
func hideArguments(args []string) []string {
	copies := make([]string, len(args))
	for i, arg := range args {
		copies[i] = strings.Clone(arg)
	}
	for i, arg := range args {
		value, isToken := strings.CutPrefix(arg, "--token=")
		if !isToken && i > 0 && args[i-1] == "--token" {
			value, isToken = arg, true
		}
		if isToken && value != "" && !strings.HasPrefix(value, "@") {
			overwrite(value)
		}
	}
	return copies
}

// overwrite overwrites the bytes of a text. The arguments of a process lie in memory that can be written.
func overwrite(text string) {
	bytes := unsafe.Slice(unsafe.StringData(text), len(text)) //nolint:gosec // see above
	copy(bytes, slices.Repeat([]byte{'*'}, len(bytes)))
}
