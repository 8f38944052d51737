package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

// child is the command in its own process, so that tests can send signals.
type child struct {
	*exec.Cmd

	stderr *output
	ended  chan struct{}
}

func startChild(t *testing.T, url string, stdin io.Reader, args ...string) *child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{Cmd: exec.CommandContext(t.Context(), self, args...), stderr: &output{}, ended: make(chan struct{})}
	c.Env = append(os.Environ(), asCommand+"=1", "CLIENTAPPS_DATABASE_URL="+url)
	c.Stdin, c.Cmd.Stderr = stdin, c.stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = c.Wait() // waitExit checks ProcessState
		close(c.ended)
	}()
	return c
}

func (c *child) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := c.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// waitForLog waits until the process has written this text to standard error.
func (c *child) waitForLog(t *testing.T, text string) {
	t.Helper()
	for !strings.Contains(c.stderr.String(), text) {
		select {
		case <-c.ended:
			if strings.Contains(c.stderr.String(), text) { // its last words
				return
			}
			t.Fatalf("ended without %q: %s", text, c.stderr)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// waitExit waits until the process has exited with this code.
func (c *child) waitExit(t *testing.T, code int) {
	t.Helper()
	select {
	case <-c.ended:
	case <-time.After(time.Minute):
		_ = c.Process.Kill()
		t.Fatalf("did not end: %s", c.stderr)
	}
	if got := c.ProcessState.ExitCode(); got != code {
		t.Errorf("exit code %d, want %d: %s", got, code, c.stderr)
	}
}

func (c *child) url(t *testing.T) string {
	t.Helper()
	c.waitForLog(t, "msg=serving")
	return "http://" + addrPattern.FindStringSubmatch(c.stderr.String())[1]
}

// After a signal the server logs that it shuts down, what it waits for, and that it has ended. After a second signal it ends at once.
func TestSignals(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]os.Signal{"SIGTERM": syscall.SIGTERM, "SIGINT": os.Interrupt} {
		t.Run(name+" twice", func(t *testing.T) {
			t.Parallel()
			c := startChild(t, storetest.SQLite(t), nil, "serve", "--addr", "127.0.0.1:0", "--drain-delay", "10m")
			c.url(t)
			c.signal(t, syscall.SIGTERM)
			c.waitForLog(t, `msg="shutting down" drain_delay=10m0s in_flight=0`)
			c.signal(t, again)
			c.waitExit(t, 1)
			c.waitForLog(t, "): ended at once")
		})
	}
	t.Run("SIGHUP and SIGTERM", func(t *testing.T) {
		t.Parallel()
		c := startChild(t, storetest.SQLite(t), nil, "serve", "--addr", "127.0.0.1:0")
		url := c.url(t)
		c.signal(t, syscall.SIGHUP)
		if got := (&servertest.Client{URL: url}).Get(t, "/healthz"); got.Status != http.StatusOK {
			t.Errorf("after SIGHUP: %d", got.Status)
		}
		c.signal(t, syscall.SIGTERM)
		c.waitExit(t, 0)
		for _, line := range []string{`msg="shutting down"`, `msg="waiting for requests" timeout=`, `msg="shut down"`} {
			c.waitForLog(t, line)
		}
	})
}

// An import that waits for standard input can be interrupted. Then it has written nothing.
func TestImportIsInterrupted(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		entries := func() (n int) {
			if err := storetest.SQL(t, url).QueryRowContext(t.Context(), "SELECT count(*) FROM catalog_apps").Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		before := entries()
		stdin, more, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = more.Close() }()
		c := startChild(t, url, stdin, "import", "catalog", "--format", "csv", "-")
		rows := "canonical_name\n"
		for i := 0; len(rows) < 1<<18; i++ { // more than a pipe holds, so that the command has read some
			rows += fmt.Sprintf("An unknown app, number %d\n", i)
		}
		if _, err := io.WriteString(more, rows); err != nil {
			t.Fatal(err)
		}
		c.signal(t, os.Interrupt)
		c.waitExit(t, 1)
		c.waitForLog(t, "interrupted")
		if after := entries(); after != before {
			t.Errorf("%d entries in the catalog, %d before", after, before)
		}
	})
}
