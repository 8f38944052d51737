package machine

import (
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	line := "42 (a (odd) name) S 7 42 42 0 -1 4194560 1 2 3 4 100 20 3 4 20 0 1 0 5 6 70 18446744073709551615"
	s, err := parseStat([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	if want := (stat{pid: 42, parent: 7, ticks: 120, reaped: 7, pages: 70}); s != want {
		t.Errorf("got %+v, want %+v", s, want)
	}
	for _, bad := range []string{"", "42", "42 (x)", "42 (x) S 7 a b"} {
		if s, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q: got %+v, want an error", bad, s)
		}
	}
}

func TestUsageOfCountsChildren(t *testing.T) {
	t.Parallel()
	before, err := UsageOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), "sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done")
	if err := child.Run(); err != nil {
		t.Fatal(err)
	}
	after, err := UsageOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	used := child.ProcessState.UserTime() + child.ProcessState.SystemTime()
	if grown := after.CPU - before.CPU; grown < used-2*tick {
		t.Errorf("a child used %v, but the tree only %v", used, grown)
	}
	if after.Resident <= 0 {
		t.Errorf("resident memory is %d", after.Resident)
	}
}

// TestUsageOfNeverShrinks reads the usage while children end, whose CPU time moves to their parent.
func TestUsageOfNeverShrinks(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	go func() {
		var err error
		for range 60 {
			err = errors.Join(err, exec.CommandContext(t.Context(), "sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done").Run())
		}
		ended <- err
	}()
	var last time.Duration
	for {
		use, err := UsageOf(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if use.CPU < last {
			t.Fatalf("%v after %v", use.CPU, last)
		}
		last = use.CPU
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
	}
}
