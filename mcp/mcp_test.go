package mcp

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/operations"
)

func newHandler(t *testing.T, document string, api http.HandlerFunc) (*Handler, *strings.Builder, error) {
	t.Helper()
	doc, err := operations.Read([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	log := &strings.Builder{}
	h, err := New(Config{
		Name: "things", Version: "1", Document: doc, API: api, BasePath: "/v9", Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	return h, log, err
}

// document returns a document with one operation on a thing.
func document(method, extension, parameters string) string {
	return `{"openapi":"3.0.3","info":{"title":"things","version":"1"},"paths":{"/things/{id}":{"` + method + `":{"operationId":"x","x-mcp":` + extension +
		`,"parameters":[{"name":"id","in":"path","required":true,"schema":{"type":"string"}}` + parameters +
		`],"responses":{"200":{"description":"x"}}}}}}`
}

const (
	readOnlyJSON    = `{"name":"read","description":"d","read_only":true}`
	writeJSON       = `{"name":"write","description":"d","read_only":false}`
	dryRunParameter = `,{"name":"dry_run","in":"query","schema":{"type":"boolean"}}`
)

// An operation that cannot be offered as it is marked keeps the server from starting.
func TestMarks(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a word too many":        document("get", `{"name":"read","description":"d","read_only":true,"x":1}`, ""),
		"no name":                document("get", `{"description":"d","read_only":true}`, ""),
		"no description":         document("get", `{"name":"read","read_only":true}`, ""),
		"no object":              document("get", `true`, ""),
		"a write that reads":     document("get", writeJSON, ""),
		"a read that writes":     document("delete", readOnlyJSON, dryRunParameter),
		"a resource that writes": document("put", `{"name":"write","description":"d","read_only":false,"resource":"x"}`, dryRunParameter),
		"no dry run":             document("put", writeJSON, ""),
		"its own confirmation":   document("put", writeJSON, dryRunParameter+`,{"name":"confirmation","in":"query","schema":{"type":"boolean"}}`),
		"a schema that is not":   document("get", readOnlyJSON, `,{"name":"q","in":"query","schema":{"not":{"type":"string"}}}`),
		"a required query of a resource": document("get", `{"name":"read","description":"d","read_only":true,"resource":"x"}`,
			`,{"name":"q","in":"query","required":true,"schema":{"type":"string"}}`),
	} {
		if _, _, err := newHandler(t, text, nil); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	for _, text := range []string{document("get", readOnlyJSON, dryRunParameter), document("put", writeJSON, dryRunParameter)} {
		if _, _, err := newHandler(t, text, nil); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func callRead(t *testing.T, h *Handler) string {
	t.Helper()
	return post(t, h, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","arguments":{"id":"a/b"}}}`)
}

func post(t *testing.T, h *Handler, message string) string {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/mcp", strings.NewReader(message))
	r.Header = http.Header{
		"Accept": {"application/json, text/event-stream"}, "Content-Type": {"application/json"}, "Authorization": {"Bearer x"},
		"X-Request-Id": {"r"}, "Cookie": {"c"}, "Accept-Encoding": {"gzip"},
	}
	if err := h.Serve(w, r); err != nil {
		t.Fatal(err)
	}
	return w.Body.String()
}

// The request to the API has of the caller's request what concerns it.
func TestRequestToTheAPI(t *testing.T) {
	t.Parallel()
	h, _, err := newHandler(t, document("get", readOnlyJSON, ""), func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if r.RequestURI != "/v9/things/a%2Fb" || r.URL.Path != "/v9/things/a/b" || r.RemoteAddr == "" || r.Host != "example.com" || err != nil || len(body) > 0 {
			t.Errorf("%s %s of %s to %s, %s %v", r.RequestURI, r.URL.Path, r.RemoteAddr, r.Host, body, err)
		}
		if len(r.Header) != 3 || r.Header.Get("Authorization") != "Bearer x" || r.Header.Get("X-Request-Id") != "r" || r.Header.Get("Accept") != "application/json" {
			t.Errorf("%v", r.Header)
		}
		_, _ = io.WriteString(w, `{"a":1}`)
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := callRead(t, h); !strings.Contains(got, `"structuredContent":{"a":1}`) {
		t.Error(got)
	}
}

// A fault of the API is an error for the client, which does not show what it was, and does not end the process.
func TestFaults(t *testing.T) {
	t.Parallel()
	for name, api := range map[string]http.HandlerFunc{
		"a panic":               func(http.ResponseWriter, *http.Request) { panic("secret") },
		"an answer that is cut": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"no JSON":               func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "secret") },
		"an error without JSON": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "secret", http.StatusBadGateway) },
		"an error without error": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			_, _ = io.WriteString(w, `{"secret":1}`)
		},
		"nothing": func(http.ResponseWriter, *http.Request) {},
	} {
		h, log, err := newHandler(t, document("get", readOnlyJSON, ""), api)
		if err != nil {
			t.Fatal(err)
		}
		if got := callRead(t, h); !strings.Contains(got, `"message":"Internal server error"`) || strings.Contains(got, "secret") {
			t.Errorf("%s: %s", name, got)
		}
		if !strings.Contains(log.String(), "level=ERROR msg=mcp") {
			t.Errorf("%s: the log has %s", name, log)
		}
	}
}

// A read that may succeed soon is no reason for a preview that shows and guards less.
func TestPreviewWaitsForItsReads(t *testing.T) {
	t.Parallel()
	const id = `"parameters":[{"name":"id","in":"path","required":true,"schema":{"type":"string"}}`
	const answers = `"responses":{"200":{"description":"x"}}`
	const ifMatch = `,{"name":"If-Match","in":"header","schema":{"type":"string"}}`
	const body = `"requestBody":{"content":{"application/json":{"schema":{"type":"object","properties":{"all":{"type":"array","items":{"type":"object",` +
		`"properties":{"id":{"type":"string"},"if_match":{"type":"string"}}}}}}}}}`
	text := `{"openapi":"3.0.3","info":{"title":"things","version":"1"},"paths":{` +
		`"/things":{"patch":{"operationId":"all","x-mcp":{"name":"many","description":"d","read_only":false},` + body + `,"parameters":[` + dryRunParameter[1:] + `],` + answers + `}},` +
		`"/things/{id}":{"get":{"operationId":"get",` + id + `],` + answers + `},` +
		`"patch":{"operationId":"patch","x-mcp":{"name":"one","description":"d","read_only":false},` + id + dryRunParameter + ifMatch + `],` + answers + `}}}}`
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusForbidden} {
		h, _, err := newHandler(t, text, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				w.WriteHeader(status)
				_, _ = io.WriteString(w, `{"error":{"code":"c","message":"m"}}`)
				return
			}
			w.Header().Set("ETag", `"tag"`)
			_, _ = io.WriteString(w, `{}`)
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range []string{`"one","arguments":{"id":"a"}`, `"many","arguments":{"all":[{"id":"a"}]}`} {
			if got := post(t, h, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":`+call+`}}`); strings.Contains(got, `"isError":true`) != (status != http.StatusForbidden) {
				t.Errorf("%d: %s", status, got)
			}
		}
	}
}

// The API's work ends when the caller hangs up, whatever the version of the protocol.
func TestHangUp(t *testing.T) {
	t.Parallel()
	began, ended := make(chan struct{}), make(chan struct{})
	h, _, err := newHandler(t, document("get", readOnlyJSON, ""), func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		close(ended)
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, hangUp := context.WithCancel(t.Context())
	go func() {
		<-began
		hangUp()
	}()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/mcp", strings.NewReader(
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","arguments":{"id":"a"}}}`))
	r.Header = http.Header{"Accept": {"*/*"}, "Content-Type": {"application/json"}}
	_ = h.Serve(httptest.NewRecorder(), r)
	<-ended
}

// FuzzConfirmation reads what was made, for the same arguments alone, and refuses all else.
func FuzzConfirmation(f *testing.F) {
	f.Add("a", `"tag"`, "x")
	f.Add("", "", "")
	f.Fuzz(func(t *testing.T, value, tag, garbled string) {
		op := &operations.Operation{ID: "x"}
		values := map[string]any{"a": value}
		tag = strings.ReplaceAll(tag, "\n", "")
		made := newConfirmation(op, values, []string{tag, "", tag})
		if tags, problem := readConfirmation(op, values, made); problem != "" || strings.Join(tags, "|") != tag+"||"+tag {
			t.Errorf("%q, %s", tags, problem)
		}
		if _, problem := readConfirmation(op, map[string]any{"a": value + "x"}, made); problem == "" {
			t.Error("it is good for other arguments")
		}
		if _, problem := readConfirmation(&operations.Operation{ID: "y"}, values, made); problem == "" {
			t.Error("it is good for another operation")
		}
		if _, problem := readConfirmation(op, values, garbled); problem == "" {
			t.Error("it is good garbled")
		}
	})
}
