package main

import (
	"strings"
	"testing"
)

// The page on faults copies lines of the last ledger.
func TestPageShowsTheLedger(t *testing.T) {
	t.Parallel()
	_, section, found := strings.Cut(read(t, "docs/faults.md"), "## The last run\n")
	section, _, _ = strings.Cut(section, "\n## ")
	ledger, lines := read(t, "faults/LEDGER.md"), 0
	for line := range strings.Lines(section) {
		if strings.HasPrefix(line, "|") {
			lines++
			if !strings.Contains(ledger, line) {
				t.Errorf("the ledger lacks %s", line)
			}
		}
	}
	if !found || lines < 10 {
		t.Errorf("%d lines of the ledger", lines)
	}
}
