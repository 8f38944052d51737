//go:build !race

package server_test

import "testing"

// mostAllocations is what one PATCH of an app may allocate, from ServeHTTP to the answer, the driver of the database
// included. The race detector allocates too: `make allocations` runs this without it.
const mostAllocations = 56

// Not parallel: it counts everything that is allocated meanwhile.
func TestAllocationsOfUpdateApp(t *testing.T) {
	patch := newPatcher(t)
	for range 10 { // statements get prepared, caches filled
		patch.send(t)
	}
	got := testing.AllocsPerRun(200, func() { patch.send(t) })
	t.Logf("%v allocations for each PATCH", got)
	if got > mostAllocations {
		t.Errorf("a PATCH allocates %v times, more than %d", got, mostAllocations)
	}
}
