package faults

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var program string

func TestMain(m *testing.M) {
	code := 1
	dir, err := os.MkdirTemp("", "clientapps-faults.")
	if err == nil {
		program, err = Build(context.Background(), dir)
	}
	if err == nil {
		code = m.Run()
	} else {
		fmt.Fprintln(os.Stderr, err)
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// open creates a directory that the database's user may enter.
func open(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "clientapps-faults.")
	if err == nil {
		err = os.Chmod(dir, 0o711)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			showLog(t, dir)
		}
		_ = os.RemoveAll(dir)
	})
	return dir
}

func newHarness(t *testing.T, env ...string) *Harness {
	t.Helper()
	return mustStart(t)(NewHarness(t.Context(), program, open(t), env...))
}

// mustStart closes a harness when the test ends, and ends the test if it did not start.
func mustStart(t *testing.T) func(*Harness, error) *Harness {
	t.Helper()
	return func(h *Harness, err error) *Harness {
		t.Helper()
		t.Cleanup(h.Close)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
}

// await polls until a condition is true.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	if err := eventually(what, condition); err != nil {
		t.Fatal(err)
	}
}

// withLoad runs do while clients write, and returns when both have ended.
func withLoad(t *testing.T, load Load, do func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { load.Run(ctx); close(ended) }()
	defer func() { stop(); <-ended }()
	do()
}

// checkLedger compares the ledger with the database.
func checkLedger(t *testing.T, ledger *Ledger, fixture *Fixture) {
	t.Helper()
	t.Log(ledger)
	for _, problem := range ledger.Problems() {
		t.Error(problem)
	}
	c, err := ledger.Compare(t.Context(), fixture)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d writes acknowledged, %d refused, %d in doubt of which %d are committed",
		ledger.Acknowledged(), ledger.Count(Refused), ledger.Count(InDoubt), c.CommittedInDoubt)
	if c.HasErrors() {
		t.Errorf("%+v", c)
	}
}

// checkAnswered checks that a server which was never stopped has answered every request.
func checkAnswered(t *testing.T, ledger *Ledger) {
	t.Helper()
	if n := ledger.Answers()["none"]; n > 0 {
		t.Errorf("%d requests had no answer", n)
	}
}

// awaitWrites waits until this many more writes have been acknowledged.
func awaitWrites(t *testing.T, ledger *Ledger, writes int) {
	t.Helper()
	until := ledger.Acknowledged() + writes
	await(t, fmt.Sprintf("%d more writes", writes), func() bool {
		time.Sleep(20 * time.Millisecond) // counting costs time
		return ledger.Acknowledged() >= until
	})
}

// showLog prints the ends of the servers' logs.
func showLog(t *testing.T, dir string) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(dir, "*.log")) // the pattern is well-formed
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil {
			t.Logf("%s ends in\n%s", filepath.Base(file), text[max(0, len(text)-8000):])
		}
	}
}
