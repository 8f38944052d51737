package main

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

// asCommand is an environment variable. When it is set, the test binary runs the command, for tests that need a separate process.
const asCommand = "RUN_AS_CLIENTAPPS"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(storetest.Main(m))
}

// outcome is the result of a command.
type outcome struct {
	code           int
	stdout, stderr string
}

// command runs one command with only the given environment.
func command(t *testing.T, environ []string, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), &process{args: args, environ: environ, stdout: &stdout, stderr: &stderr})
	return outcome{code, stdout.String(), stderr.String()}
}

// must runs a command that has to succeed, and returns its standard output.
func must(t *testing.T, url string, args ...string) string {
	t.Helper()
	o := command(t, []string{"CLIENTAPPS_DATABASE_URL=" + url}, args...)
	if o.code != 0 {
		t.Fatalf("clientapps %s: exit %d: %s", strings.Join(args, " "), o.code, o.stderr)
	}
	return o.stdout
}

// output is a writer for concurrent use.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// serving is a running `clientapps serve`, and a client without a token.
type serving struct {
	servertest.Client

	stdout, stderr *output
	stop           func() int // stops the server and returns its exit code
}

// addrPattern finds the address in either format of the log, or in what --demo prints.
var addrPattern = regexp.MustCompile(`(?:msg=serving addr=|"msg":"serving","addr":"|curl -X PATCH "http://)([^\s"/]+)`)

// as returns a client that sends this token.
func (s *serving) as(token string) *servertest.Client {
	return &servertest.Client{URL: s.URL, Token: token}
}

// startServe serves on a free port of loopback until the test ends. It returns when the server accepts connections.
func startServe(t *testing.T, databaseURL string, args ...string) *serving {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &serving{stdout: &output{}, stderr: &output{}}
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, &process{
			args:    append([]string{"serve", "--addr", "127.0.0.1:0"}, args...),
			environ: []string{"CLIENTAPPS_DATABASE_URL=" + databaseURL}, stdout: s.stdout, stderr: s.stderr,
		})
	}()
	s.stop = sync.OnceValue(func() int { cancel(); return <-code })
	t.Cleanup(func() {
		s.stop()
		if token := regexp.MustCompile(`capp_[0-9A-Za-z]{30,}`).FindString(s.stderr.String()); token != "" {
			t.Errorf("the log shows the token %s", token)
		}
	})
	var found []string
	started := storetest.Poll(func() bool {
		found = addrPattern.FindStringSubmatch(s.stderr.String() + s.stdout.String())
		return found != nil
	})
	if !started {
		t.Fatalf("the server did not start: %s", s.stderr)
	}
	s.URL = "http://" + found[1]
	return s
}

// eventually waits until done returns true, for at most a minute.
func eventually(t *testing.T, done func() bool) {
	t.Helper()
	if !storetest.Poll(done) {
		t.Fatal("not done within a minute")
	}
}

func TestMisuseExitsWithTwo(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"sevre"},
		{"client"},
		{"token", "show"},
		{"serve", "--adr", "x"},
		{"serve", "--addr"},
		{"migrate", "up", "now"},
		{"client", "create"},
		{"client", "create", "Fabrikam"},
		{"token", "revoke"},
		{"token", "revoke", "x"},
		{"token", "create", "--expires-in", "soon"},
	} {
		o := command(t, nil, args...)
		if o.code != 2 || o.stdout != "" || !strings.HasPrefix(o.stderr, "clientapps: usage: ") || strings.Count(o.stderr, "\n") != 1 && len(args) < 3 {
			t.Errorf("%v: %+v", args, o)
		}
	}
}

func TestFailureExitsWithOne(t *testing.T) {
	t.Parallel()
	nowhere := []string{"CLIENTAPPS_DATABASE_URL=postgres://127.0.0.1:1/none?connect_timeout=1"}
	for _, args := range [][]string{
		{"serve", "--addr", "127.0.0.1:0"},
		{"migrate", "up"},
		{"migrate", "status"},
		{"client", "list"},
		{"client", "create", "--name", "Fabrikam"},
		{"token", "list"},
		{"token", "create", "--name", "x", "--all-clients", "--scope", "apps:read"},
		{"token", "revoke", "aa7cf840-9ca9-46a3-9778-9015d6580d50"},
	} {
		if o := command(t, nowhere, args...); o.code != 1 || o.stdout != "" || !strings.Contains(o.stderr, "database unavailable") {
			t.Errorf("%v: %+v", args, o)
		}
	}
}
