//go:build !race

package server_test

import "testing"

// maxAllocations bounds the allocations of one PATCH of an app, from ServeHTTP to the answer, including the database driver. The
// race detector allocates too: `make allocations` runs this test without it.
const maxAllocations = 56

// Not parallel: AllocsPerRun counts the allocations of the whole process.
func TestAllocationsOfUpdateApp(t *testing.T) {
	patch := newPatcher(t)
	for range 10 { // prepare statements and fill caches
		patch.send(t)
	}
	got := testing.AllocsPerRun(200, func() { patch.send(t) })
	t.Logf("%v allocations for each PATCH", got)
	if got > maxAllocations {
		t.Errorf("a PATCH allocates %v times, more than %d", got, maxAllocations)
	}
}
