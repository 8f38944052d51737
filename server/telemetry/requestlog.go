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

// lineLimiter limits the rate of one kind of log line. It counts the lines beyond the limit for a later line.
type lineLimiter struct {
	allow   func() bool
	dropped atomic.Int64 // lines left out since the last call of notLogged
}

// take reports whether one more line may be written, and counts it if not.
func (l *lineLimiter) take() bool {
	ok := l.allow()
	if !ok {
		l.dropped.Add(1)
	}
	return ok
}

// notLogged returns how many lines were left out since the last call.
func (l *lineLimiter) notLogged() int64 {
	if l.dropped.Load() == 0 {
		return 0
	}
	return l.dropped.Swap(0)
}

// logRequest writes the log line of a request. Lines about refused requests without a valid token are limited; a later line has
// the number of those left out in not_logged.
func (o *Observer) logRequest(r *http.Request, observed *Request, ended time.Time, took time.Duration) {
	if observed.TokenID == uuid.Nil && clientCanProvoke(observed.Status) && !o.refusals.take() {
		return
	}
	level := slog.LevelInfo
	if observed.Status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	handler, attrs := observed.Operation.handlerFor(r.Method), make([]slog.Attr, 0, 11)
	if handler == nil {
		handler = o.log.Handler()
		attrs = append(attrs, slog.String("operation_id", observed.operationID()), slog.String("method", r.Method))
	}
	if !handler.Enabled(r.Context(), level) {
		return
	}
	attrs = append(attrs,
		slog.String("path", r.URL.Path),
		slog.Int("status", observed.Status),
		slog.Duration("duration", took),
		slog.String("request_id", observed.ID),
	)
	if observed.span != nil {
		at := observed.span.SpanContext()
		attrs = append(attrs, slog.String("trace_id", at.TraceID().String()), slog.String("span_id", at.SpanID().String()))
	}
	if observed.TokenID != uuid.Nil {
		attrs = append(attrs, slog.String("token_id", observed.TokenID.String()))
	}
	if observed.Cause != "" {
		attrs = append(attrs, slog.String("cause", observed.Cause))
	}
	if observed.Err != nil {
		attrs = append(attrs, slog.String("error", observed.Err.Error()))
	}
	if notLogged := o.refusals.notLogged(); notLogged > 0 {
		attrs = append(attrs, slog.Int64("not_logged", notLogged))
	}
	// LogAttrs would read the clock again and look up its caller, which no line shows.
	line := slog.NewRecord(ended, level, "request", 0)
	line.AddAttrs(attrs...)
	_ = handler.Handle(r.Context(), line) // slog ignores this error too
}

// handlerFor returns a handler that already has the attributes operation_id and method. It returns nil for another method, such as
// HEAD.
func (op *Operation) handlerFor(method string) slog.Handler {
	if op == nil || op.method != method {
		return nil
	}
	return op.handler
}

// operationID returns "" if no route was found.
func (observed *Request) operationID() string {
	if observed.Operation == nil {
		return ""
	}
	return observed.Operation.ID
}

// clientCanProvoke reports whether a client without a token can cause this status at will. It cannot cause a 500.
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
func (o *Observer) AuthenticationFailed(r *http.Request, observed *Request, failure AuthFailure) {
	if !o.authFailures.take() {
		return
	}
	attrs := []slog.Attr{
		slog.String("reason", failure.Reason),
		slog.String("operation_id", observed.operationID()),
		slog.String("request_id", observed.ID),
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
	if notLogged := o.authFailures.notLogged(); notLogged > 0 {
		attrs = append(attrs, slog.Int64("not_logged", notLogged))
	}
	o.log.LogAttrs(r.Context(), slog.LevelWarn, "authentication_failed", attrs...)
}
