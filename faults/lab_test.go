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

// open makes a directory that the database's user may enter.
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

func newLab(t *testing.T, env ...string) *Lab {
	t.Helper()
	return ready(t)(NewLab(t.Context(), program, open(t), env...))
}

func ready(t *testing.T) func(*Lab, error) *Lab {
	t.Helper()
	return func(l *Lab, err error) *Lab {
		t.Helper()
		t.Cleanup(l.Close)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
}

// await polls until a condition holds.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	if err := eventually(what, so); err != nil {
		t.Fatal(err)
	}
}

// under runs something while clients write, and returns when both have ended.
func under(t *testing.T, load Load, do func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { load.Run(ctx); close(ended) }()
	defer func() { stop(); <-ended }()
	do()
}

// checkLedger compares what clients were told with what is there.
func checkLedger(t *testing.T, ledger *Ledger, w *World) {
	t.Helper()
	t.Log(ledger)
	for _, problem := range ledger.Problems() {
		t.Error(problem)
	}
	c, err := ledger.Compare(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d writes acknowledged, %d refused, %d in doubt of which %d are there",
		ledger.Acknowledged(), ledger.Count(Refused), ledger.Count(InDoubt), c.Settled)
	if c.Bad() {
		t.Errorf("%+v", c)
	}
}

// checkAnswered is for a server that ran all the time: it has answered every request.
func checkAnswered(t *testing.T, ledger *Ledger) {
	t.Helper()
	if n := ledger.Answers()["none"]; n > 0 {
		t.Errorf("%d requests had no answer", n)
	}
}

// after waits until that many more writes have been acknowledged.
func after(t *testing.T, ledger *Ledger, writes int) {
	t.Helper()
	until := ledger.Acknowledged() + writes
	await(t, fmt.Sprintf("%d more writes", writes), func() bool {
		time.Sleep(20 * time.Millisecond) // counting is not free
		return ledger.Acknowledged() >= until
	})
}

// showLog shows what the servers said of what went wrong.
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
