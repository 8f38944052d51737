package main

import (
	"slices"
	"strings"
	"unsafe"
)

// hideArguments returns the arguments and overwrites a token among them in the memory of the process, where lists of processes
// read it.
func hideArguments(args []string) []string {
	kept := make([]string, len(args))
	for i, arg := range args {
		kept[i] = strings.Clone(arg)
	}
	for i, arg := range args {
		value, isToken := strings.CutPrefix(arg, "--token=")
		if !isToken && i > 0 && args[i-1] == "--token" {
			value, isToken = arg, true
		}
		if isToken && value != "" && !strings.HasPrefix(value, "@") {
			hide(value)
		}
	}
	return kept
}

// hide overwrites the bytes of a text. The arguments of a process lie in memory that can be written.
func hide(text string) {
	bytes := unsafe.Slice(unsafe.StringData(text), len(text)) //nolint:gosec // see above
	copy(bytes, slices.Repeat([]byte{'*'}, len(bytes)))
}
