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
	fileFormat  rowfile.Format // of an export or an import
	headOnly    bool           // an export without its rows
	reauthorize func() error   // checks again whether the token may read the stream; nil if this is no stream
	observed    telemetry.Request
}

func newRequestState(w http.ResponseWriter, r *http.Request) *requestState {
	id := requestID(r.Header.Get(transport.RequestIDHeader))
	state := &requestState{ResponseWriter: w, Context: r.Context(), url: r.URL, requestID: [1]string{id}, observed: telemetry.Request{ID: id}}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		state.ifNoneMatch = joinHeader(r.Header, "If-None-Match")
	}
	return state
}

type requestStateKey struct{}

// Value implements context.Context.
func (state *requestState) Value(key any) any {
	if _, own := key.(requestStateKey); own {
		return state
	}
	return state.Context.Value(key)
}

func requestStateOf(ctx context.Context) *requestState {
	state, _ := ctx.Value(requestStateKey{}).(*requestState)
	return state
}

// actor returns the token that makes this request, for the change history.
func actor(ctx context.Context) store.Actor {
	state := requestStateOf(ctx)
	return store.Actor{ID: state.token.ID, Name: state.token.Name, RequestID: state.requestID[0]}
}

// WriteHeader turns 200 into 304 if If-None-Match matches. It sets the request id and the operation's fixed headers again, since
// generated code has overwritten them with empty values.
func (state *requestState) WriteHeader(status int) {
	header := state.Header()
	header[transport.RequestIDHeader] = state.requestID[:]
	if state.operation != nil {
		for name, value := range state.operation.responseHeader {
			header.Set(name, value)
		}
	}
	if status == http.StatusOK && state.ifNoneMatch != "" {
		if tag := header.Get("ETag"); tag != "" && !conditional.NoneMatch(state.ifNoneMatch, tag) {
			status, state.skipBody = http.StatusNotModified, true
			header.Del("Content-Type")
			header.Del("Content-Encoding")
			header.Del("Link") // a client with the body has this, too (RFC 9110, 15.4.5)
		}
	}
	if state.dryRun {
		header["Dry-Run"] = []string{"true"}
		header["Cache-Control"] = cacheNoStore
		if status == http.StatusCreated { // the object was not created
			header.Del("ETag")
		}
	}
	setCaching(header)
	state.observed.Status = status
	state.ResponseWriter.WriteHeader(status)
}

func (state *requestState) Write(body []byte) (int, error) {
	if state.skipBody {
		return len(body), nil
	}
	if state.observed.Status == 0 {
		state.WriteHeader(http.StatusOK)
	}
	n, err := state.ResponseWriter.Write(body)
	state.observed.Sent += n
	return n, err
}

// Flush implements http.Flusher for the compressor, which does not unwrap this writer.
func (state *requestState) Flush() { _ = http.NewResponseController(state.ResponseWriter).Flush() }

// Unwrap lets http.ResponseController reach the connection.
func (state *requestState) Unwrap() http.ResponseWriter { return state.ResponseWriter }

// The values of Cache-Control, shared by all responses: do not write to them.
var (
	// A response with an ETag may be stored, but only by its client, and must be revalidated.
	cachePrivate = []string{"private, no-cache"}
	cacheNoStore = []string{"no-store"}
)

// setCaching sets Cache-Control, unless the handler did. A 304 has the same value as the 200.
func setCaching(header http.Header) {
	switch {
	case header["Cache-Control"] != nil:
	case header["Etag"] != nil:
		header["Cache-Control"] = cachePrivate
	default:
		header["Cache-Control"] = cacheNoStore
	}
}

// requestID returns the client's request id if it is usable, and otherwise a new one.
func requestID(given string) string {
	if validRequestID(given) {
		return given
	}
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // crypto/rand never fails
	return hex.EncodeToString(raw[:])
}

func validRequestID(id string) bool {
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
