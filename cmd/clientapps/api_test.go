package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/shell"
	"github.com/clientapps/clientapps/store/storetest"
)

// onPath returns a folder that has this test's binary as the command clientapps.
func onPath(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "clientapps")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// environment is that of a shell which has the command, a server and its token.
func environment(t *testing.T, url string) []string {
	t.Helper()
	return []string{
		"PATH=" + onPath(t) + ":" + os.Getenv("PATH"), "HOME=" + t.TempDir(), asCommand + "=1", "CLIENTAPPS_URL=" + url, "CLIENTAPPS_TOKEN=" + demoToken,
	}
}

// runLine runs a line of a shell that calls the command. The shell itself parses the line; the command runs in this process, since
// a process for each line would read the contract anew.
func runLine(t *testing.T, line, url string) outcome {
	t.Helper()
	dir := t.TempDir()
	sh := exec.CommandContext(t.Context(), "sh", "-euc", `
clientapps() {
	printf '%s\0' "$@" >arguments
	case "$*" in *"--body -"*) cat >stdin ;; esac
}
`+line)
	sh.Dir = dir
	if out, err := sh.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", line, err, out)
	}
	arguments, err := os.ReadFile(filepath.Join(dir, "arguments"))
	if err != nil {
		t.Fatal(err)
	}
	stdin, _ := os.ReadFile(filepath.Join(dir, "stdin")) // the line may have none
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), &process{
		args:    strings.Split(strings.TrimSuffix(string(arguments), "\x00"), "\x00"),
		environ: []string{"CLIENTAPPS_URL=" + url, "CLIENTAPPS_TOKEN=" + demoToken},
		stdin:   bytes.NewReader(stdin), stdout: &stdout, stderr: &stderr,
	})
	return outcome{code, stdout.String(), stderr.String()}
}

// TestAPIOperations pastes the example in the help of each operation into a shell. The request is that of the contract's example, and so
// is the answer.
func TestAPIOperations(t *testing.T) {
	t.Parallel()
	wanted := map[string]exchange{}
	for _, x := range exchanges(t) {
		wanted[x.operation] = x
	}
	doc, err := readOperations()
	if err != nil || len(doc.Operations) < 50 {
		t.Fatalf("%v, %d operations", err, len(doc.Operations))
	}
	reading := startServe(t, storetest.SQLite(t), "--demo") // for requests that do not disturb others
	for _, op := range doc.Operations {
		if slices.Contains(op.Answers, "text/event-stream") {
			continue // see TestAPIStream
		}
		t.Run(op.ID, func(t *testing.T) {
			t.Parallel()
			demo := reading
			if op.Method != http.MethodGet {
				demo = startServe(t, storetest.SQLite(t), "--demo")
			}
			values, body := op.Demo()
			line := shell.CommandLine(op, values, body)
			got := runLine(t, line+" --verbose", demo.URL)
			if got.code != 0 {
				t.Fatalf("%s: %+v", line, got)
			}
			x, ok := wanted[op.ID]
			if !ok { // a file
				if lines := strings.Count(got.stdout, "\n"); op.Method == http.MethodGet && lines < 2 {
					t.Errorf("%d lines: %s", lines, got.stdout)
				}
				return
			}
			if want := "> " + x.request.Method + " " + demo.URL + x.request.Target + "\n"; !strings.Contains(got.stderr, want) {
				t.Errorf("want %s, sent %s", want, got.stderr)
			}
			if !strings.Contains(got.stderr, fmt.Sprintf("< HTTP/1.1 %d ", x.status)) {
				t.Errorf("want %d: %s", x.status, got.stderr)
			}
			checkSent(t, x.request.Body, got.stderr)
			if x.answer != nil {
				checkAnswer(t, x, got.stdout)
			}
			if op.Method == http.MethodGet {
				checkRows(t, line, runLine(t, line+" -o csv", demo.URL))
			}
		})
	}
}

// checkRows reads CSV, whose columns come from the schema of the answer. A list may be empty.
func checkRows(t *testing.T, line string, got outcome) {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(got.stdout)).ReadAll()
	if got.code != 0 || err != nil || len(rows) == 0 || len(rows[0]) < 2 || len(rows) > 1 && strings.Join(rows[1], "") == "" {
		t.Errorf("%s: %v: %+v", line, err, got)
	}
}

// checkSent compares the JSON body in what --verbose shows with the example's.
func checkSent(t *testing.T, want, shown string) {
	t.Helper()
	if !strings.HasPrefix(want, "{") || strings.Contains(want, "}\n{") {
		return // none, or a file
	}
	_, sent, _ := strings.Cut(shown, "\n>\n> ")
	sent, _, _ = strings.Cut(sent, "\n")
	var a, b any
	if json.Unmarshal([]byte(want), &a) != nil || json.Unmarshal([]byte(sent), &b) != nil || !reflect.DeepEqual(a, b) {
		t.Errorf("sent %s, want %s", sent, want)
	}
}

func checkAnswer(t *testing.T, x exchange, printed string) {
	t.Helper()
	var got any
	if err := json.Unmarshal([]byte(printed), &got); err != nil {
		t.Fatalf("%v: %s", err, printed)
	}
	want := x.answer
	if _, isFeed := want.(map[string]any)["has_more"]; isFeed || x.request.Method != http.MethodGet {
		got, want = withoutNew(got), withoutNew(want)
	}
	if !reflect.DeepEqual(got, want) {
		text, _ := json.Marshal(want)
		t.Errorf("printed %s\nwant %s", printed, text)
	}
}

// TestAPIStream follows a feed and its stream, while an app changes.
func TestAPIStream(t *testing.T) {
	t.Parallel()
	demo := startServe(t, storetest.SQLite(t), "--demo")
	for _, operation := range []string{"stream-all-changes", "list-all-changes"} {
		follow := exec.CommandContext(t.Context(), "clientapps", "api", operation, "--since", "2099-01-01T00:00:00Z", "--follow")
		follow.Env = environment(t, demo.URL)
		follow.Path = filepath.Join(strings.TrimPrefix(strings.Split(follow.Env[0], ":")[0], "PATH="), "clientapps")
		follow.Err = nil
		var stdout output
		follow.Stdout, follow.Stderr = &stdout, &stdout
		if err := follow.Start(); err != nil {
			t.Fatal(err)
		}
		value := false
		eventually(t, func() bool { // the stream begins some time after the process
			value = !value
			demo.as(demoToken).Patch(t, pageApp, fmt.Sprintf(`{"is_favorite": %v}`, value))
			return strings.Contains(stdout.String(), `"field":"is_favorite"`) && strings.HasSuffix(stdout.String(), "}\n")
		})
		if err := follow.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		_ = follow.Wait()
		line, _, _ := strings.Cut(stdout.String(), "\n")
		var change struct{ Field, Actor any }
		if err := json.Unmarshal([]byte(line), &change); err != nil || change.Field != "is_favorite" {
			t.Errorf("%s printed %s", operation, stdout.String())
		}
	}
}

// TestAPITokenIsHidden reads the arguments of a running command as a list of processes does.
func TestAPITokenIsHidden(t *testing.T) {
	t.Parallel()
	demo := startServe(t, storetest.SQLite(t), "--demo")
	for _, args := range [][]string{{"--token", demoToken}, {"--token=" + demoToken}} {
		follow := exec.CommandContext(t.Context(), filepath.Join(onPath(t), "clientapps"),
			append([]string{"api", "stream-all-changes", "--follow", "--url", demo.URL}, args...)...)
		follow.Env = []string{asCommand + "=1"}
		var stdout output
		follow.Stdout = &stdout
		if err := follow.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() bool { return strings.Contains(stdout.String(), "}\n") }) // the token is good
		line, err := exec.CommandContext(t.Context(), "ps", "-ww", "-o", "args=", "-p", strconv.Itoa(follow.Process.Pid)).Output()
		if err != nil || strings.Contains(string(line), demoToken) || !strings.Contains(string(line), "--token") {
			t.Errorf("%v %q", err, line)
		}
		_ = follow.Process.Kill()
		_ = follow.Wait()
	}
}

// TestAPIExitCodes tells what is refused from what is misused. Errors go to standard error alone.
func TestAPIExitCodes(t *testing.T) {
	t.Parallel()
	demo := startServe(t, storetest.SQLite(t), "--demo")
	environ := []string{"CLIENTAPPS_URL=" + demo.URL, "CLIENTAPPS_TOKEN=" + demoToken}
	client, app := referenceIDs["client/Contoso Ltd."].String(), referenceIDs["app/Contoso Ltd./Slack"].String()
	key := []string{"--client-id", client, "--app-id", app}
	for _, test := range []struct {
		args  []string
		code  int
		wants []string
	}{
		{[]string{"api"}, 0, nil},
		{append([]string{"api", "get-app"}, key...), 0, nil},
		{append([]string{"api", "update-app", "--license-count", "7", "--dry-run"}, key...), 0, nil},
		{append([]string{"api", "update-app", "--if-match", `"old"`, "--license-count", "7"}, key...), 1, []string{"412 precondition_failed", "(request "}},
		{append([]string{"api", "update-app", "--license-count", "-1"}, key...), 2, []string{"usage", "--license-count", "2147483647"}},
		{append([]string{"api", "update-app", "--licence-count", "1"}, key...), 2, []string{"unknown flag: --licence-count"}},
		{[]string{"api", "get-app", "--client-id", client}, 2, []string{`"app-id" not set`}},
		{[]string{"api", "get-app", "--client-id", "x", "--app-id", app}, 2, []string{"--client-id"}},
		{[]string{"api", "get-apps"}, 2, []string{"did you mean get-app"}},
		{[]string{"api", "list-clients", "--url", "http://127.0.0.1:1"}, 1, []string{"connection refused"}},
		{[]string{"api", "list-clients", "--token", "wrong"}, 1, []string{"401 unauthorized"}},
		{[]string{"api", "create-webhook", "--client-id", "null", "--body-url", "https://192.168.1.10/hook"}, 1, []string{"400 invalid_request", "(request "}},
	} {
		o := command(t, environ, test.args...)
		if o.code != test.code || (o.code == 0) != (o.stderr == "") || o.code != 0 && o.stdout != "" {
			t.Errorf("%q: %+v", test.args, o)
		}
		for _, want := range test.wants {
			if !strings.Contains(o.stderr, want) {
				t.Errorf("%q: %s, want %s", test.args, o.stderr, want)
			}
		}
	}
	// The dry run wrote nothing.
	if o := command(t, environ, append([]string{"api", "get-app"}, key...)...); o.stdout != untouched {
		t.Errorf("%+v", o)
	}
}

// TestCompletionScripts has each shell that is there load its script.
func TestCompletionScripts(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"bash", "zsh", "fish", "powershell"} {
		o := command(t, nil, "completion", name)
		if o.code != 0 || len(o.stdout) < 1000 {
			t.Errorf("%s: %+v", name, o)
		}
		interpreter, err := exec.LookPath(name)
		if err != nil || name == "powershell" {
			continue
		}
		check := exec.CommandContext(t.Context(), interpreter, "-n")
		check.Stdin = strings.NewReader(o.stdout)
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("%s: %v %s", name, err, out)
		}
	}
}

// TestCompletionNeedsNoServer completes without a server or a database.
func TestCompletionNeedsNoServer(t *testing.T) {
	t.Parallel()
	o := command(t, []string{"CLIENTAPPS_DATABASE_URL=sqlite:///no/such/folder/x.db"}, "__complete", "api", "update-app", "--is-fav")
	if o.code != 0 || !strings.HasPrefix(o.stdout, "--is-favorite\t") {
		t.Errorf("%+v", o)
	}
}
