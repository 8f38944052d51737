package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"

	"github.com/clientapps/clientapps/server/conditional"
	"github.com/clientapps/clientapps/server/rowfile"
	"github.com/clientapps/clientapps/server/telemetry"
	"github.com/clientapps/clientapps/server/transport"
	"github.com/clientapps/clientapps/store"
)

// requestState is the state of one request and its response that the layers share. It is also the request's context, from which
// requestStateOf gets it.
type requestState struct {
	http.ResponseWriter
	context.Context

	requestID   [1]string // an array, so that its slice is a header value without an allocation
	url         *url.URL
	operation   *operation   // nil until a route was found
	token       *store.Token // nil until authenticated
	ifNoneMatch string       // of GET and HEAD
	body        decodedBody
	skipBody    bool // 304
	dryRun      bool
	file        rowfile.Format // of an export or an import
	head        bool           // an export without its rows
	recheck     func() error   // of a stream: whether the token may still read it
	observed    telemetry.Request
}

func newRequestState(w http.ResponseWriter, r *http.Request) *requestState {
	id := requestID(r.Header.Get(transport.RequestIDHeader))
	x := &requestState{ResponseWriter: w, Context: r.Context(), url: r.URL, requestID: [1]string{id}, observed: telemetry.Request{ID: id}}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		x.ifNoneMatch = joinHeader(r.Header, "If-None-Match")
	}
	return x
}

type requestStateKey struct{}

// Value implements context.Context.
func (x *requestState) Value(key any) any {
	if _, own := key.(requestStateKey); own {
		return x
	}
	return x.Context.Value(key)
}

func requestStateOf(ctx context.Context) *requestState {
	x, _ := ctx.Value(requestStateKey{}).(*requestState)
	return x
}

// actor returns the token that makes this request, for the change history.
func actor(ctx context.Context) store.Actor {
	x := requestStateOf(ctx)
	return store.Actor{ID: x.token.ID, Name: x.token.Name, RequestID: x.requestID[0]}
}

// WriteHeader turns 200 into 304 if If-None-Match matches. It sets the request id and the operation's fixed headers again, since
// generated code has overwritten them with empty values.
func (x *requestState) WriteHeader(status int) {
	header := x.Header()
	header[transport.RequestIDHeader] = x.requestID[:]
	if x.operation != nil {
		for name, value := range x.operation.header {
			header.Set(name, value)
		}
	}
	if status == http.StatusOK && x.ifNoneMatch != "" {
		if tag := header.Get("ETag"); tag != "" && !conditional.NoneMatch(x.ifNoneMatch, tag) {
			status, x.skipBody = http.StatusNotModified, true
			header.Del("Content-Type")
			header.Del("Content-Encoding")
			header.Del("Link") // a client with the body has this, too (RFC 9110, 15.4.5)
		}
	}
	if x.dryRun {
		header["Dry-Run"] = []string{"true"}
		header["Cache-Control"] = keepNothing
		if status == http.StatusCreated { // a tag stands for an object that is there
			header.Del("ETag")
		}
	}
	setCaching(header)
	x.observed.Status = status
	x.ResponseWriter.WriteHeader(status)
}

func (x *requestState) Write(body []byte) (int, error) {
	if x.skipBody {
		return len(body), nil
	}
	if x.observed.Status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	n, err := x.ResponseWriter.Write(body)
	x.observed.Sent += n
	return n, err
}

// Flush implements http.Flusher, for the compressor, which does not look behind this writer.
func (x *requestState) Flush() { _ = http.NewResponseController(x.ResponseWriter).Flush() }

// Unwrap lets http.ResponseController reach the connection.
func (x *requestState) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// The values of Cache-Control, shared by all responses: do not write to them.
var (
	// A response with an ETag may be stored, but only by its client, and must be revalidated.
	keepPrivate = []string{"private, no-cache"}
	keepNothing = []string{"no-store"}
)

// setCaching sets Cache-Control, unless the handler did. A 304 has the same value as the 200.
func setCaching(header http.Header) {
	switch {
	case header["Cache-Control"] != nil:
	case header["Etag"] != nil:
		header["Cache-Control"] = keepPrivate
	default:
		header["Cache-Control"] = keepNothing
	}
}

// requestID returns the client's request id if it is usable, and otherwise a new one.
func requestID(given string) string {
	if usableRequestID(given) {
		return given
	}
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // crypto/rand never fails
	return hex.EncodeToString(raw[:])
}

func usableRequestID(id string) bool {
	if id == "" || len(id) > 128 {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// joinHeader joins the lines of a list header (RFC 9110, 5.3).
func joinHeader(h http.Header, name string) string {
	return strings.Join(h.Values(name), ", ")
}
