package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/clientapps/clientapps/operations"
)

// api sends requests to the API in this process.
type api struct {
	handler http.Handler
	base    *url.URL
}

func newAPI(handler http.Handler, basePath string) *api {
	return &api{handler, &url.URL{Path: basePath}}
}

// forwarded are the headers of the caller's request that a request to the API has too.
var forwarded = []string{"Authorization", requestIDHeader, "X-Forwarded-For", "Traceparent", "Tracestate"}

const requestIDHeader = "X-Request-Id"

type callerKey struct{}

// withCaller keeps the caller's request in the context of the messages that came with it.
func withCaller(ctx context.Context, r *http.Request) context.Context {
	return context.WithValue(ctx, callerKey{}, r)
}

func callerOf(ctx context.Context) *http.Request {
	r, ok := ctx.Value(callerKey{}).(*http.Request)
	if !ok {
		return &http.Request{Header: http.Header{}} // without a token
	}
	return r
}

// do calls an operation. Errors are those of Operation.Request.
func (a *api) do(ctx context.Context, op *operations.Operation, values map[string]any) (*answer, error) {
	r, err := op.Request(ctx, a.base, values)
	if err != nil {
		return nil, err
	}
	return a.serve(ctx, r), nil
}

// serve has the API answer a request as if the caller had sent it. When the caller hangs up, the request is canceled.
func (a *api) serve(ctx context.Context, r *http.Request) *answer {
	caller := callerOf(ctx)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// For older versions of the protocol the SDK does not cancel messages with their request.
	defer context.AfterFunc(caller.Context(), cancel)()
	r = r.WithContext(ctx)
	for _, name := range forwarded {
		if values := caller.Header[name]; values != nil {
			r.Header[name] = values
		}
	}
	r.Header.Set("Accept", "application/json")
	r.RequestURI, r.RemoteAddr, r.Host, r.TLS = r.URL.RequestURI(), caller.RemoteAddr, caller.Host, caller.TLS
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := &recorder{header: http.Header{}}
	a.handler.ServeHTTP(w, r)
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return &answer{w.status, w.header, bytes.TrimSpace(w.body.Bytes())}
}

// answer is an answer of the API. The API bounds its body: it is a page at most, or the contract.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a *answer) ok() bool { return a.status < http.StatusMultipleChoices }

func (a *answer) etag() string { return a.header.Get("ETag") }

// decode returns the body, with its numbers as they are written.
func (a *answer) decode() (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(a.body))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, &internalError{err}
	}
	return v, nil
}

// object returns the body if it is an object, and nothing otherwise.
func (a *answer) object() map[string]any {
	v, _ := a.decode()
	object, _ := v.(map[string]any)
	return object
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK { // others are hints before the answer
		w.status = status
	}
}

func (w *recorder) Write(text []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(text)
}
