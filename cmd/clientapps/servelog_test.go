package main

import (
	"bytes"
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

// wantInOrder checks that a log has lines with these texts, each once, in this order.
func wantInOrder(t *testing.T, log string, texts ...string) {
	t.Helper()
	rest := log
	for _, text := range texts {
		_, after, found := strings.Cut(rest, text)
		if !found || strings.Count(log, text) != 1 {
			t.Errorf("want one %q after those before it in\n%s", text, log)
			return
		}
		rest = after
	}
}

// get sends a request with an id that its log line has.
func get(t *testing.T, url, path, id string) {
	t.Helper()
	(&servertest.Client{URL: url}).Send(t, servertest.Request{Method: "GET", Target: path, Header: []string{"X-Request-Id: " + id}})
}

// The line of a request is written while the server serves. A warning is written before its request is answered, after all earlier
// lines. After SIGTERM, and after a second one, nothing is missing.
func TestLogIsWrittenInTime(t *testing.T) {
	t.Parallel()
	for name, signals := range map[string]int{"SIGTERM": 1, "SIGTERM twice": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := []string{"serve", "--addr", "127.0.0.1:0"}
			if signals == 2 {
				args = append(args, "--drain-delay", "10m")
			}
			c := startChild(t, storetest.SQLite(t), nil, args...)
			url := c.url(t)
			get(t, url, "/healthz", "waits-for-the-timer")
			c.waitForLog(t, "waits-for-the-timer")
			get(t, url, "/healthz", "before-the-warning")
			get(t, url, pageApp, "is-unauthorized")
			c.waitForLog(t, "msg=authentication_failed")
			wantInOrder(t, c.stderr.String(), "waits-for-the-timer", "before-the-warning", "msg=authentication_failed")
			get(t, url, "/healthz", "before-the-signal")
			for range signals {
				c.signal(t, syscall.SIGTERM)
				c.waitForLog(t, `msg="shutting down"`)
			}
			if signals == 2 {
				c.waitExit(t, 1)
				wantInOrder(t, c.stderr.String(), "before-the-signal", `msg="shutting down"`, "clientapps: second signal")
				return
			}
			c.waitExit(t, 0)
			wantInOrder(t, c.stderr.String(), "before-the-signal", `msg="shutting down"`, `msg="shut down"`)
		})
	}
}

// The error that ends a server is the last line.
func TestErrorComesAfterTheLog(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	code := run(t.Context(), &process{
		args: []string{"serve", "--demo", "--addr", "127.0.0.1:0"}, environ: []string{"CLIENTAPPS_DATABASE_URL=" + storetest.SQLite(t)},
		stdout: failingWriter{}, stderr: &stderr,
	})
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
	wantInOrder(t, stderr.String(), "msg=serving", "clientapps: "+io.ErrClosedPipe.Error())
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// When nobody reads a full pipe at standard error, requests wait, and a second signal still ends the server.
func TestSecondSignalWithBlockedLog(t *testing.T) {
	t.Parallel()
	stderr, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stderr.Close() }()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "serve", "--addr", "127.0.0.1:0", "--demo")
	cmd.Env = append(os.Environ(), asCommand+"=1", "CLIENTAPPS_DATABASE_URL="+storetest.SQLite(t))
	stdout := &output{}
	cmd.Stdout, cmd.Stderr = stdout, write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	eventually(t, func() bool { return addrPattern.MatchString(stdout.String()) })
	url := "http://" + addrPattern.FindStringSubmatch(stdout.String())[1]
	client := &http.Client{Timeout: 5 * time.Second}
	blocked := false
	for range 5000 { // a line has more than 100 bytes, the pipe holds 64 KiB, and 64 KiB wait
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Do(r)
		if err != nil {
			blocked = true
			break
		}
		_ = answer.Body.Close()
	}
	if !blocked {
		t.Error("5000 requests did not fill the pipe")
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // the exit code is checked below
		close(ended)
	}()
	for signals := 0; ; signals++ { // more than two: those that come before the first is handled count as one
		select {
		case <-ended:
		case <-time.After(100 * time.Millisecond):
			if signals < 600 {
				_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
				continue
			}
			_ = cmd.Process.Kill()
			t.Fatal("did not end")
		}
		break
	}
	if code := cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit code %d", code)
	}
}
