package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/clientapps/clientapps/server/etag"
	"github.com/clientapps/clientapps/server/transport"
	"github.com/clientapps/clientapps/store"
)

// requestState is one request and its response, as the layers share it with each other and with the log.
type requestState struct {
	http.ResponseWriter

	requestID   [1]string // as a header has it
	url         *url.URL
	operation   *operation   // nil until a route was found
	token       *store.Token // nil until authenticated
	err         error        // what the answer hides
	cause       string       // why it is 503 or 429
	status      int
	sent        int        // bytes of the body
	span        trace.Span // nil when nothing is traced
	ifNoneMatch string     // of GET and HEAD
	skipBody    bool       // 304
}

type requestStateKey struct{}

func requestStateOf(ctx context.Context) *requestState {
	x, _ := ctx.Value(requestStateKey{}).(*requestState)
	return x
}

// actor returns who makes this request, for the change history.
func actor(ctx context.Context) store.Actor {
	x := requestStateOf(ctx)
	return store.Actor{ID: x.token.ID, Name: x.token.Name, RequestID: x.requestID[0]}
}

// ServeHTTP gives the request its id, serves it and writes one line about it to the log.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	x := &requestState{ResponseWriter: w, url: r.URL, requestID: [1]string{requestID(r.Header.Get(transport.RequestIDHeader))}}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		x.ifNoneMatch = joinHeader(r.Header, "If-None-Match")
	}
	w.Header()[transport.RequestIDHeader] = x.requestID[:]
	if s.draining.Load() || len(r.TransferEncoding) > 0 {
		// While the server stops the next request goes to one that stays. Behind chunks there is no next request: net/http
		// does not tell whether there was a Content-Length beside them, by which a proxy may have cut (RFC 9112, 6.3).
		w.Header().Set("Connection", "close")
	}
	transport.Secure(w.Header(), r.TLS != nil)
	ctx := s.beginSpan(context.WithValue(r.Context(), requestStateKey{}, x), r, x)
	r = r.WithContext(ctx)
	s.metrics.begin()
	defer func() {
		took := time.Since(start)
		s.metrics.end(r, x, took)
		x.endSpan()
		s.logRequest(r, x, took)
	}()
	s.handler.ServeHTTP(x, r)
}

// WriteHeader turns 200 into 304 when If-None-Match matches. It sets the request id and the operation's fixed headers again, since
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
		if tag := header.Get("ETag"); tag != "" && !etag.NoneMatch(x.ifNoneMatch, tag) {
			status, x.skipBody = http.StatusNotModified, true
			header.Del("Content-Type")
			header.Del("Content-Encoding")
			header.Del("Link") // whoever has the body has this, too (RFC 9110, 15.4.5)
		}
	}
	setCaching(header)
	x.status = status
	x.ResponseWriter.WriteHeader(status)
}

func (x *requestState) Write(body []byte) (int, error) {
	if x.skipBody {
		return len(body), nil
	}
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	n, err := x.ResponseWriter.Write(body)
	x.sent += n
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (x *requestState) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// requestID keeps a usable id and makes one otherwise.
func requestID(given string) string {
	if usableRequestID(given) {
		return given
	}
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails: crypto/rand
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

// logRequest writes the log line of a request. Lines about refused requests without a valid token are limited; a later line has the
// number of those left out in not_logged.
func (s *Server) logRequest(r *http.Request, x *requestState, took time.Duration) {
	if x.token == nil && refusesNobody(x.status) && !s.nobodys.take() {
		return
	}
	level := slog.LevelInfo
	attrs := make([]slog.Attr, 0, 11)
	attrs = append(attrs,
		slog.String("operation_id", x.operation.name()),
		slog.String("method", r.Method),
		slog.String("path", r.URL.Path),
		slog.Int("status", x.status),
		slog.Duration("duration", took),
		slog.String("request_id", x.requestID[0]),
	)
	if x.span != nil {
		at := x.span.SpanContext()
		attrs = append(attrs, slog.String("trace_id", at.TraceID().String()), slog.String("span_id", at.SpanID().String()))
	}
	if x.token != nil {
		attrs = append(attrs, slog.String("token_id", x.token.ID.String()))
	}
	if x.cause != "" {
		attrs = append(attrs, slog.String("cause", x.cause))
	}
	if x.err != nil {
		attrs = append(attrs, slog.String("error", x.err.Error()))
	}
	if left := s.nobodys.notLogged(); left > 0 {
		attrs = append(attrs, slog.Int64("not_logged", left))
	}
	if x.status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	s.log.LogAttrs(r.Context(), level, "request", attrs...)
}

// refusesNobody reports whether a status can be provoked at will by a caller without a token. A failure of the server cannot.
func refusesNobody(status int) bool {
	return status >= http.StatusBadRequest && status != http.StatusInternalServerError
}

// joinHeader joins the lines of a list header (RFC 9110, 5.3).
func joinHeader(h http.Header, name string) string {
	return strings.Join(h.Values(name), ", ")
}
