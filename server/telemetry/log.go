package telemetry

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// boundedLines limits the rate of one kind of log line. It counts the lines beyond the limit for a later line.
type boundedLines struct {
	allow   func() bool
	dropped atomic.Int64 // lines left out since the last call of notLogged
}

// take reports whether one more line may be written, and counts it if not.
func (b *boundedLines) take() bool {
	ok := b.allow()
	if !ok {
		b.dropped.Add(1)
	}
	return ok
}

// notLogged returns how many lines were left out since the last call.
func (b *boundedLines) notLogged() int64 {
	if b.dropped.Load() == 0 {
		return 0
	}
	return b.dropped.Swap(0)
}

// logRequest writes the log line of a request. Lines about refused requests without a valid token are limited; a later line has
// the number of those left out in not_logged.
func (o *Observer) logRequest(r *http.Request, x *Request, ended time.Time, took time.Duration) {
	if x.TokenID == uuid.Nil && clientCanProvoke(x.Status) && !o.refusals.take() {
		return
	}
	level := slog.LevelInfo
	if x.Status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	handler, attrs := x.Operation.lines(r.Method), make([]slog.Attr, 0, 11)
	if handler == nil {
		handler = o.log.Handler()
		attrs = append(attrs, slog.String("operation_id", x.operationID()), slog.String("method", r.Method))
	}
	if !handler.Enabled(r.Context(), level) {
		return
	}
	attrs = append(attrs,
		slog.String("path", r.URL.Path),
		slog.Int("status", x.Status),
		slog.Duration("duration", took),
		slog.String("request_id", x.ID),
	)
	if x.span != nil {
		at := x.span.SpanContext()
		attrs = append(attrs, slog.String("trace_id", at.TraceID().String()), slog.String("span_id", at.SpanID().String()))
	}
	if x.TokenID != uuid.Nil {
		attrs = append(attrs, slog.String("token_id", x.TokenID.String()))
	}
	if x.Cause != "" {
		attrs = append(attrs, slog.String("cause", x.Cause))
	}
	if x.Err != nil {
		attrs = append(attrs, slog.String("error", x.Err.Error()))
	}
	if left := o.refusals.notLogged(); left > 0 {
		attrs = append(attrs, slog.Int64("not_logged", left))
	}
	// Not LogAttrs: it reads the clock again, and finds out where it was called, which no line shows.
	line := slog.NewRecord(ended, level, "request", 0)
	line.AddAttrs(attrs...)
	_ = handler.Handle(r.Context(), line) // slog ignores this error too
}

// lines returns a handler that has written the operation and the method already; nil if there is none for this method, such as HEAD.
func (op *Operation) lines(method string) slog.Handler {
	if op == nil || op.method != method {
		return nil
	}
	return op.handler
}

// operationID returns "" if no route was found.
func (x *Request) operationID() string {
	if x.Operation == nil {
		return ""
	}
	return x.Operation.ID
}

// clientCanProvoke reports whether a client without a token can provoke a status at will. It cannot provoke a 500.
func clientCanProvoke(status int) bool {
	return status >= http.StatusBadRequest && status != http.StatusInternalServerError
}

// AuthFailure is why a request was not authenticated. It contains no credentials.
type AuthFailure struct {
	Reason      string // one word
	Detail      error  // for the operator of the identity provider; nil for none
	TokenPrefix string // the first characters of a token, which are not secret; "" for none
}

// AuthenticationFailed writes a line about a request that was not authenticated, with its origin, unless there are too many.
func (o *Observer) AuthenticationFailed(r *http.Request, x *Request, failure AuthFailure) {
	if !o.authFailures.take() {
		return
	}
	attrs := []slog.Attr{
		slog.String("reason", failure.Reason),
		slog.String("operation_id", x.operationID()),
		slog.String("request_id", x.ID),
		slog.String("remote_addr", r.RemoteAddr),
	}
	if forwarded := strings.Join(r.Header.Values("X-Forwarded-For"), ", "); forwarded != "" {
		attrs = append(attrs, slog.String("forwarded_for", forwarded[:min(len(forwarded), 200)])) // a proxy or the client may have set it
	}
	if failure.Detail != nil {
		attrs = append(attrs, slog.String("detail", fmt.Sprintf("%.300s", failure.Detail.Error())))
	}
	if failure.TokenPrefix != "" {
		attrs = append(attrs, slog.String("token_prefix", failure.TokenPrefix))
	}
	if left := o.authFailures.notLogged(); left > 0 {
		attrs = append(attrs, slog.Int64("not_logged", left))
	}
	o.log.LogAttrs(r.Context(), slog.LevelWarn, "authentication_failed", attrs...)
}
