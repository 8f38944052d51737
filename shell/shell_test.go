package shell_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"

	"github.com/clientapps/clientapps/operations"
	"github.com/clientapps/clientapps/shell"
)

// things is a contract that has what ours does not: a property named url, a path's parameter that is a text, a list of numbers.
const things = `{
  "openapi": "3.0.3", "info": {"title": "things", "version": "1"}, "servers": [{"url": "/v7"}],
  "tags": [{"name": "Things"}],
  "paths": {
    "/things": {
      "get": {"operationId": "listThings", "tags": ["Things"], "summary": "List things", "parameters": [
        {"name": "cursor", "in": "query", "schema": {"type": "string"}},
        {"name": "kind", "in": "query", "description": "Only ` + "`of`" + ` this kind", "schema": {"type": "string", "enum": ["big", "small"], "default": "big"}},
        {"name": "broken", "in": "query", "schema": {"type": "boolean"}},
        {"name": "sizes", "in": "query", "schema": {"type": "array", "items": {"type": "integer", "maximum": 9}}}
      ], "responses": {"200": {"description": "", "content": {"application/json": {"schema": {"type": "object", "properties": {
        "next_cursor": {"type": "string", "nullable": true},
        "data": {"type": "array", "items": {"$ref": "#/components/schemas/Thing"}}}}}}}}},
      "post": {"operationId": "makeThing", "tags": ["Things"], "summary": "Make a thing",
        "requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
        "responses": {"201": {"description": "", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}}}}
    },
    "/things/{name}": {
      "get": {"operationId": "getThing", "tags": ["Things"], "summary": "Get a thing", "parameters": [
        {"name": "name", "in": "path", "required": true, "schema": {"type": "string"}},
        {"name": "If-None-Match", "in": "header", "schema": {"type": "string"}}],
        "responses": {"200": {"description": "", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}}}}
    },
    "/news": {
      "get": {"operationId": "listNews", "tags": ["Things"], "summary": "List news", "parameters": [
        {"name": "cursor", "in": "query", "schema": {"type": "string"}}, {"name": "since", "in": "query", "schema": {"type": "string"}}],
        "responses": {"200": {"description": "", "content": {"application/json": {"schema": {"type": "object", "properties": {
          "next_cursor": {"type": "string"}, "has_more": {"type": "boolean"},
          "data": {"type": "array", "items": {"$ref": "#/components/schemas/Thing"}}}}}}}}}
    },
    "/news/stream": {
      "get": {"operationId": "streamNews", "tags": ["Things"], "summary": "Stream news",
        "responses": {"200": {"description": "", "content": {"text/event-stream": {"schema": {"type": "string"}}}}}}
    },
    "/files": {
      "put": {"operationId": "putFile", "tags": ["Things"], "summary": "Put a file",
        "requestBody": {"required": true, "content": {"application/x-ndjson": {}, "text/csv": {}}},
        "responses": {"204": {"description": ""}}},
      "get": {"operationId": "getFile", "tags": ["Things"], "summary": "Get a file",
        "responses": {"200": {"description": "", "content": {"application/x-ndjson": {}, "text/csv": {}}}}}
    }
  },
  "components": {"schemas": {"Thing": {"type": "object", "required": ["name"], "properties": {
    "name": {"type": "string", "maxLength": 10},
    "url": {"type": "string", "nullable": true},
    "count": {"type": "integer", "minimum": 0, "maximum": 2147483647, "nullable": true},
    "good": {"type": "boolean"},
    "colors": {"type": "array", "nullable": true, "items": {"type": "string", "enum": ["red", "blue"]}},
    "notes": {"type": "array", "items": {"type": "string"}},
    "parts": {"type": "array", "items": {"type": "object"}},
    "maker": {"type": "object", "nullable": true, "properties": {"id": {"type": "string"}, "name": {"type": "string"}}}
  }}}}
}`

// fakeServer answers requests by a test's function and remembers them.
type fakeServer struct {
	*httptest.Server

	mu       sync.Mutex
	requests []string // METHOD TARGET BODY
	headers  []http.Header
}

func serve(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) *fakeServer {
	t.Helper()
	f := &fakeServer{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		f.mu.Lock()
		n := len(f.requests)
		f.requests = append(f.requests, strings.TrimSpace(r.Method+" "+r.RequestURI+" "+string(body)))
		f.headers = append(f.headers, r.Header)
		f.mu.Unlock()
		answer(n, w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *fakeServer) sent() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.requests)
}

// outcome is what a command printed, and its error.
type outcome struct {
	stdout, stderr string
	err            error
}

// terminal says how a command is called.
type terminal struct {
	width   int
	stdin   string
	environ []string
	stdout  io.Writer // nil: into the outcome
}

func (c terminal) run(ctx context.Context, t *testing.T, args ...string) outcome {
	t.Helper()
	doc, err := operations.Read([]byte(things))
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	out := io.Writer(&stdout)
	if c.stdout != nil {
		out = c.stdout
	}
	api := shell.Command(ctx, shell.Config{
		Contract: doc, Args: args, Environ: c.environ, Stdin: strings.NewReader(c.stdin), Stdout: out, Stderr: &stderr,
		Width: c.width, Version: "1",
	})
	root := &cobra.Command{Use: "clientapps", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(api)
	root.SetOut(out)
	root.SetErr(&stderr)
	all := shell.AddTrue(root, append([]string{"api"}, args...))
	if args[0] == cobra.ShellCompRequestCmd {
		all = append([]string{args[0], "api"}, args[1:]...)
	}
	root.SetArgs(all)
	err = shell.MissingFlags(root.ExecuteContext(ctx))
	return outcome{stdout.String(), stderr.String(), err}
}

func run(t *testing.T, args ...string) outcome {
	t.Helper()
	return terminal{}.run(t.Context(), t, args...)
}

// Flags become the request that the contract describes. Absent, null and a value are told apart.
func TestRequests(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "rows.csv")
	if err := os.WriteFile(file, []byte("a,b\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"list-things"}, `GET /v7/things`},
		{[]string{"listThings", "--kind", "small", "--broken"}, `GET /v7/things?broken=true&kind=small`},
		{[]string{"list-things", "--broken", "false", "--sizes", "1,2", "--sizes=3"}, `GET /v7/things?broken=false&sizes=1&sizes=2&sizes=3`},
		{[]string{"get-thing", "--name", "a/b ?é.."}, `GET /v7/things/a%2Fb%20%3F%C3%A9..`},
		{[]string{"get-thing", "--name", ".."}, `GET /v7/things/%2E%2E`},
		{[]string{"make-thing", "--name", "x"}, `POST /v7/things {"name":"x"}`},
		{[]string{"make-thing", "--name", "null", "--body-url", "null", "--count", "null"}, `POST /v7/things {"count":null,"name":"null","url":null}`},
		{[]string{"make-thing", "--name=", "--body-url", `"null"`, "--count", "2147483647"}, `POST /v7/things {"count":2147483647,"name":"","url":"null"}`},
		{[]string{"make-thing", "--name", "<&>", "--good"}, `POST /v7/things {"good":true,"name":"<&>"}`},
		{[]string{"make-thing", "--name", "x", "--good", "false"}, `POST /v7/things {"good":false,"name":"x"}`},
		{[]string{"make-thing", "--name", "x", "--colors", "red,blue", "--notes", "a,b", "--notes", "c"}, `POST /v7/things {"colors":["red","blue"],"name":"x","notes":["a,b","c"]}`},
		{[]string{"make-thing", "--name", "x", "--colors", "[]", "--notes", "[]"}, `POST /v7/things {"colors":[],"name":"x","notes":[]}`},
		{[]string{"make-thing", "--name", "x", "--colors", "null"}, `POST /v7/things {"colors":null,"name":"x"}`},
		{[]string{"make-thing", "--name", "x", "--parts", `[{"n": 12345678901234567890}]`}, `POST /v7/things {"name":"x","parts":[{"n":12345678901234567890}]}`},
		{[]string{"make-thing", "--body", "-"}, `POST /v7/things {"from": "a pipe"}`},
		{[]string{"put-file", "--body", file}, "PUT /v7/files a,b"},
	} {
		server := serve(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
		got := terminal{stdin: `{"from": "a pipe"}`}.run(t.Context(), t, append(test.args, "--url", server.URL)...)
		if sent := server.sent(); got.err != nil || got.stdout != "" || len(sent) != 1 || sent[0] != test.want {
			t.Errorf("%q: %v %q sent %q, want %q", test.args, got.err, got.stdout, sent, test.want)
		}
		if media := server.headers[0].Get("Content-Type"); test.args[0] == "put-file" && media != "text/csv" {
			t.Errorf("%q: %s", test.args, media)
		}
	}
}

// What the contract does not allow is refused before anything is sent.
func TestMisuse(t *testing.T) {
	t.Parallel()
	server := serve(t, func(int, http.ResponseWriter, *http.Request) {})
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"list-thing"}, "did you mean list-things?"},
		{[]string{"get-thing"}, `required flag(s) "name" not set`},
		{[]string{"make-thing"}, "--name is missing"},
		{[]string{"put-file"}, "--body is missing"},
		{[]string{"put-file", "--body", "/no/such/file"}, "no such file"},
		{[]string{"make-thing", "--name", "x", "--body", "-"}, "exclude each other"},
		{[]string{"list-things", "x"}, `takes flags alone, but was given "x"`},
		{[]string{"list-things", "--output", "xml"}, "--output must be one of json, ndjson, csv, table"},
		{[]string{"list-things", "--retries", "21"}, "--retries must be 0 to 20"},
		{[]string{"list-things", "--token", "ca fe"}, "the token has characters that a token cannot have"},
		{[]string{"list-things", "--token", "@/no/such/file"}, "read the token"},
		{[]string{"list-things", "--url", "ftp://127.0.0.1"}, "must be like http://127.0.0.1:8080"},
		{[]string{"list-things", "--spec", "/no/such/file"}, "--spec /no/such/file"},
	} {
		got := run(t, append([]string{"--url", server.URL}, test.args...)...)
		if !errors.Is(got.err, shell.ErrUsage) || !strings.Contains(got.err.Error(), test.want) || got.stdout != "" {
			t.Errorf("%q: %v, want %s", test.args, got.err, test.want)
		}
	}
	// The library for flags reports these, and the command's caller marks them as wrong usage.
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"list-things", "--kind", "huge"}, "kind"},
		{[]string{"list-things", "--sizes", "10"}, "sizes"},
		{[]string{"make-thing", "--name", "x", "--count", "-1"}, "count"},
		{[]string{"make-thing", "--name", "x", "--count", "2147483648"}, "count"},
		{[]string{"make-thing", "--name", "x", "--count", "1.5"}, "must be an integer or null"},
		{[]string{"make-thing", "--name", "12345678901"}, "name"},
		{[]string{"make-thing", "--name", "x", "--good", "null"}, "must be true or false"},
		{[]string{"make-thing", "--name", "x", "--parts", "{"}, "must be JSON"},
		{[]string{"make-thing", "--name", "x", "--name", "y"}, "is given twice"},
		{[]string{"make-thing", "--nam", "x"}, "unknown flag: --nam"},
	} {
		got := run(t, append([]string{"--url", server.URL}, test.args...)...)
		if got.err == nil || !strings.Contains(got.err.Error(), test.want) {
			t.Errorf("%q: %v, want %s", test.args, got.err, test.want)
		}
	}
	if sent := server.sent(); len(sent) > 0 {
		t.Errorf("sent %q", sent)
	}
}

const twoThings = `{"data":[{"name":"a","count":1,"maker":{"id":"m","name":"=M"}},{"name":"b","count":null,"maker":null,"colors":["red"]}],"next_cursor":null}`

func TestOutput(t *testing.T) {
	t.Parallel()
	server := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"7"`)
		switch {
		case strings.HasPrefix(r.URL.Path, "/v7/things/"):
			_, _ = io.WriteString(w, `{"name":"\u001b[31mred\u202e","count":3}`+"\n")
		case r.URL.Path == "/v7/files":
			_, _ = io.WriteString(w, r.Header.Get("Accept"))
		default:
			_, _ = io.WriteString(w, twoThings+"\n")
		}
	})
	for _, test := range []struct {
		width int
		args  []string
		want  string
	}{
		{0, []string{"list-things"}, twoThings + "\n"},
		{0, []string{"list-things", "--all"}, twoThings + "\n"},
		{0, []string{"list-things", "-o", "ndjson"}, `{"name":"a","count":1,"maker":{"id":"m","name":"=M"}}` + "\n" + `{"name":"b","count":null,"maker":null,"colors":["red"]}` + "\n"},
		{0, []string{"list-things", "-o", "csv"}, "colors,count,good,maker.id,maker.name,name,notes,parts,url\r\n" +
			",1,,m,'=M,a,,,\r\n\"[\"\"red\"\"]\",,,,,b,,,\r\n"},
		{80, []string{"list-things"}, "name      maker.name  colors    count     maker.id\na         =M                    1         m\nb                     [\"red\"]\n"},
		{21, []string{"list-things"}, "name      maker.name\na         =M\nb\n"},
		{0, []string{"get-thing", "--name", "x"}, `{"name":"\u001b[31mred\u202e","count":3}` + "\n"},
		{0, []string{"get-thing", "--name", "x", "-o", "ndjson"}, `{"name":"\u001b[31mred\u202e","count":3}` + "\n"},
		{0, []string{"get-file"}, "application/x-ndjson"},
		{0, []string{"get-file", "-o", "csv"}, "text/csv"},
	} {
		got := terminal{width: test.width}.run(t.Context(), t, append(test.args, "--url", server.URL)...)
		if got.err != nil || got.stdout != test.want {
			t.Errorf("%q: %v\n%q, want\n%q", test.args, got.err, got.stdout, test.want)
		}
	}
	got := terminal{width: 80}.run(t.Context(), t, "get-thing", "--name", "x", "--url", server.URL)
	if !strings.Contains(got.stdout, "name        \ufffd[31mred\ufffd\n") || !strings.Contains(got.stdout, "ETag        \"7\"\n") {
		t.Errorf("%v %q", got.err, got.stdout)
	}
}

// --all fetches each page once, with the same filters, whatever the form.
func TestAllPages(t *testing.T) {
	t.Parallel()
	server := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		n := cmp.Or(r.URL.Query().Get("cursor"), "0")
		next := map[string]string{"0": `"1"`, "1": `"2"`, "2": "null"}[n]
		_, _ = fmt.Fprintf(w, `{"data":[{"name":%q},{"name":%q}],"total_count":6,"next_cursor":%s}`, n+"a", n+"b", next)
	})
	got := run(t, "list-things", "--all", "--kind", "big", "--url", server.URL)
	if want := `{"data":[{"name":"0a"},{"name":"0b"},{"name":"1a"},{"name":"1b"},{"name":"2a"},{"name":"2b"}],"next_cursor":null,"total_count":6}` + "\n"; got.err != nil || got.stdout != want {
		t.Errorf("%v %s", got.err, got.stdout)
	}
	if want := []string{"GET /v7/things?kind=big", "GET /v7/things?cursor=1&kind=big", "GET /v7/things?cursor=2&kind=big"}; !slices.Equal(server.sent(), want) {
		t.Errorf("%q", server.sent())
	}
	if got := run(t, "list-things", "--all", "-o", "csv", "--url", server.URL); strings.Count(got.stdout, "colors,") != 1 || strings.Count(got.stdout, "\r\n") != 7 {
		t.Errorf("%v %q", got.err, got.stdout)
	}
	got = terminal{width: 80}.run(t.Context(), t, "list-things", "--url", server.URL)
	if !strings.Contains(got.stderr, "--all") {
		t.Errorf("%v %q %q", got.err, got.stdout, got.stderr)
	}
}

// untilSeen ends a command once its output has a text.
type untilSeen struct {
	bytes.Buffer

	text string
	end  context.CancelFunc
}

func (u *untilSeen) Write(p []byte) (int, error) {
	n, err := u.Buffer.Write(p)
	if strings.Contains(u.String(), u.text) {
		u.end()
	}
	return n, err
}

// --follow asks again behind the last cursor, without since.
func TestFollow(t *testing.T) {
	t.Parallel()
	server := serve(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			_, _ = io.WriteString(w, `{"data":[],"has_more":false,"next_cursor":"c1"}`)
			return
		}
		_, _ = fmt.Fprintf(w, `{"data":[{"name":"n%d"}],"has_more":%v,"next_cursor":"c%d"}`, n, n == 0, n)
	})
	ctx, cancel := context.WithCancel(t.Context())
	seen := &untilSeen{text: "n2", end: cancel}
	got := terminal{stdout: seen}.run(ctx, t, "list-news", "--follow", "--since", "2026", "--url", server.URL)
	if want := []string{"GET /v7/news?since=2026", "GET /v7/news?cursor=c0", "GET /v7/news?cursor=c1"}; !slices.Equal(server.sent(), want) {
		t.Errorf("%q", server.sent())
	}
	if !errors.Is(got.err, context.Canceled) || seen.String() != `{"name":"n0"}`+"\n"+`{"name":"n2"}`+"\n" {
		t.Errorf("%v %s", got.err, seen)
	}
}

// A stream resumes behind its last event; an error that the server will repeat ends it.
func TestStream(t *testing.T) {
	t.Parallel()
	server := serve(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		switch n {
		case 0:
			_, _ = io.WriteString(w, "id: 7\nevent: change\ndata: {\"name\":\"a\"}\n\n: still here\n\nid: 8\n\n")
		case 1:
			_, _ = io.WriteString(w, "id: 9\nevent: change\ndata: {\"name\":\"b\"}\n\nevent: error\ndata: {\"error\":{\"code\":\"unavailable\",\"message\":\"Busy\"}}\n\n")
		default:
			w.WriteHeader(http.StatusGone)
			_, _ = io.WriteString(w, `{"error":{"code":"cursor_expired","message":"Gone"}}`)
		}
	})
	got := run(t, "stream-news", "--follow", "--url", server.URL)
	if want := "{\"name\":\"a\"}\n{\"name\":\"b\"}\n"; got.stdout != want || got.err == nil || got.err.Error() != "410 cursor_expired: Gone" {
		t.Errorf("%v %q", got.err, got.stdout)
	}
	if want := "the stream ended: unavailable: Busy; connecting again\n"; got.stderr != want {
		t.Errorf("%q", got.stderr)
	}
	var ids []string
	for _, h := range server.headers {
		ids = append(ids, h.Get("Last-Event-Id"))
	}
	if !slices.Equal(ids, []string{"", "8", "9"}) {
		t.Errorf("%q", ids)
	}
}

// 429 and 503 are repeated, with the same body; other refusals are not.
func TestRetries(t *testing.T) {
	t.Parallel()
	busy := func(status int, times int) *fakeServer {
		return serve(t, func(n int, w http.ResponseWriter, _ *http.Request) {
			if n < times {
				w.Header().Set("Retry-After", "0")
				w.WriteHeader(status)
				_, _ = io.WriteString(w, `{"error":{"code":"busy","message":"Come back"}}`)
				return
			}
			_, _ = io.WriteString(w, `{"name":"x"}`)
		})
	}
	for _, test := range []struct {
		status, times, sent int
		retries             string
		want                string
	}{
		{429, 2, 3, "4", ""},
		{503, 2, 3, "4", ""},
		{503, 9, 3, "2", "503 busy: Come back"},
		{429, 1, 1, "0", "429 busy: Come back"},
		{500, 1, 1, "4", "500 busy: Come back"},
		{409, 1, 1, "4", "409 busy: Come back"},
	} {
		server := busy(test.status, test.times)
		got := terminal{stdin: `{"name": "x"}`}.run(t.Context(), t, "make-thing", "--body", "-", "--retries", test.retries, "--url", server.URL)
		sent := server.sent()
		if len(sent) != test.sent || slices.Compact(slices.Clone(sent))[0] != `POST /v7/things {"name": "x"}` || len(slices.Compact(sent)) != 1 {
			t.Errorf("%+v: sent %q", test, sent)
		}
		if text := fmt.Sprint(got.err); test.want == "" && got.err != nil || test.want != "" && text != test.want {
			t.Errorf("%+v: %v", test, got.err)
		}
	}
}

// The error says what is wrong, where, and in which request, and cannot steer the terminal.
func TestErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		status     int
		body, want string
	}{
		{
			400, `{"error":{"code":"invalid","message":"No","details":{"errors":[{"field":"count","message":"count must be less","pointer":"/count"},{"pointer":"/a/3/b","message":"b is bad","field":"b"},{"line":4,"field":"x","message":"wrong"}]}}}`,
			"400 invalid: No (request r1)\n  count: count must be less\n  /a/3/b: b is bad\n  line 4 x: wrong",
		},
		{400, `{"error":{"code":"invalid","message":"No \u001b[2J","details":{"field":"count"}}}`, "400 invalid: No \ufffd[2J (request r1)"},
		{502, `<html>`, "502: Bad Gateway (request r1)"},
		{302, ``, "302: Found (request r1)"},
	} {
		server := serve(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Request-Id", "r1")
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(test.status)
			_, _ = io.WriteString(w, test.body)
		})
		got := run(t, "list-things", "--url", server.URL)
		if got.err == nil || got.err.Error() != test.want || got.stdout != "" || errors.Is(got.err, shell.ErrUsage) {
			t.Errorf("%v, want %s", got.err, test.want)
		}
	}
}

// The token comes from a flag, a file or the environment. --verbose shows all but it.
func TestToken(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("secret-in-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args, environ []string
		want          string
	}{
		{[]string{"--token", "secret1"}, []string{"CLIENTAPPS_TOKEN=secret2"}, "Bearer secret1"},
		{nil, []string{"CLIENTAPPS_TOKEN=secret2"}, "Bearer secret2"},
		{[]string{"--token", "@" + file}, nil, "Bearer secret-in-file"},
		{nil, []string{"CLIENTAPPS_TOKEN=@" + file}, "Bearer secret-in-file"},
		{nil, nil, ""},
	} {
		server := serve(t, func(_ int, w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"name":"x"}`) })
		environ := slices.Concat(test.environ, []string{"CLIENTAPPS_URL=" + server.URL + "/v7/"})
		got := terminal{environ: environ}.run(t.Context(), t, append(test.args, "make-thing", "--name", "x", "--verbose")...)
		if header := server.headers[0].Get("Authorization"); got.err != nil || header != test.want {
			t.Errorf("%v %q", got.err, header)
		}
		if strings.Contains(got.stderr+got.stdout, "secret") {
			t.Errorf("shows the token: %s", got.stderr)
		}
		for _, want := range []string{"> POST " + server.URL + "/v7/things", `> {"name":"x"}`, "< HTTP/1.1 200 OK", "< Content-Length: 12"} {
			if !strings.Contains(got.stderr, want+"\n") {
				t.Errorf("%s is not in %s", want, got.stderr)
			}
		}
	}
}

// Help and completion tell all that the contract says.
func TestHelp(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args, want []string
	}{
		{[]string{"--help"}, []string{"Things:\n  ", "  get-thing   Get a thing\n", "  list-things List things\n"}},
		{[]string{"list-things", "--help"}, []string{"--kind value", "Only of this kind (big, small; default big)", "each at most 9", "--all"}},
		{[]string{"make-thing", "--help"}, []string{"--count integer|null", "(0 to 2147483647)", "--body-url text|null", "--colors value...|null", "red, blue", "--body file"}},
		{[]string{cobra.ShellCompRequestCmd, "list-t"}, []string{"list-things\tList things\n"}},
		{[]string{cobra.ShellCompRequestCmd, "list-things", "--kind", ""}, []string{"big\nsmall\n"}},
		{[]string{cobra.ShellCompRequestCmd, "list-things", "--ki"}, []string{"--kind\tOnly"}},
		{[]string{cobra.ShellCompRequestCmd, "list-things", "--broken", ""}, []string{"true\nfalse\n"}},
		{[]string{cobra.ShellCompRequestCmd, "make-thing", "--colors", ""}, []string{"red\nblue\nnull\n"}},
		{[]string{cobra.ShellCompRequestCmd, "get-thing", ""}, []string{"--name\t"}},
		{[]string{cobra.ShellCompRequestCmd, "list-things", "-o", ""}, []string{"json\nndjson\ncsv\ntable\n"}},
	} {
		got := run(t, test.args...)
		for _, want := range test.want {
			if got.err != nil || !strings.Contains(got.stdout, want) {
				t.Errorf("%q: %v %q is not in\n%s", test.args, got.err, want, got.stdout)
			}
		}
	}
}

// --spec takes another document, whose relative server is beside it.
func TestSpec(t *testing.T) {
	t.Parallel()
	other := strings.NewReplacer("listThings", "findThings", "/v7", "/v8").Replace(things)
	server := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/spec.json" {
			_, _ = io.WriteString(w, other)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": []any{}, "next_cursor": nil})
	})
	got := run(t, "--spec", server.URL+"/spec.json", "find-things")
	if sent := server.sent(); got.err != nil || !slices.Equal(sent, []string{"GET /spec.json", "GET /v8/things"}) {
		t.Errorf("%v %q", got.err, sent)
	}
	elsewhere := serve(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Replace(things, `"/v7"`, `"http://127.0.0.2:9/v7"`, 1))
	})
	if got := run(t, "--spec", elsewhere.URL, "list-things", "--token", "t"); !errors.Is(got.err, shell.ErrUsage) || !strings.Contains(got.err.Error(), "--url") {
		t.Errorf("%v", got.err)
	}
	file := filepath.Join(t.TempDir(), "spec.json")
	if err := os.WriteFile(file, []byte(other), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := run(t, "find-things", "--spec="+file, "--url", server.URL); got.err != nil || got.stdout != `{"data":[],"next_cursor":null}`+"\n" {
		t.Errorf("%v %q", got.err, got.stdout)
	}
}
