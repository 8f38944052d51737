package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/clientapps/clientapps/server/oidc"
	"github.com/clientapps/clientapps/server/ratelimit"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/apitoken"
)

// Bounds of the log lines about unauthenticated requests. Lines beyond them are counted, and a later line has the count.
const (
	auditRate  = 10 // lines a second
	auditBurst = 100
)

// boundedLines limits the rate of one kind of log line, so that a flood of requests does not fill the disk.
type boundedLines struct {
	limit *ratelimit.Limiter
	left  atomic.Int64 // how many had no line since notLogged was asked
}

func newBoundedLines(clock func() time.Time) *boundedLines {
	return &boundedLines{limit: ratelimit.New(auditRate, auditBurst, clock)}
}

// take reports whether one more line may be written, and counts it if not.
func (b *boundedLines) take() bool {
	ok := b.limit.Take(ratelimit.Key{}).OK
	if !ok {
		b.left.Add(1)
	}
	return ok
}

// notLogged returns how many lines were left out since the last call.
func (b *boundedLines) notLogged() int64 {
	if b.left.Load() == 0 {
		return 0
	}
	return b.left.Swap(0)
}

// authFailureLog writes a line for each request that fails to authenticate, unless there are too many of them.
type authFailureLog struct {
	log   *slog.Logger
	lines *boundedLines
}

func newAuditor(log *slog.Logger, clock func() time.Time) *authFailureLog {
	return &authFailureLog{log: log, lines: newBoundedLines(clock)}
}

// failed logs why a request was not authenticated and where it came from. It logs no credentials.
func (a *authFailureLog) failed(r *http.Request, secret string, reason error) {
	if !a.lines.take() {
		return
	}
	x := requestStateOf(r.Context())
	attrs := []slog.Attr{
		slog.String("reason", auditReason(r, reason)),
		slog.String("operation_id", x.operation.name()),
		slog.String("request_id", x.requestID[0]),
		slog.String("remote_addr", r.RemoteAddr),
	}
	if forwarded := joinHeader(r.Header, "X-Forwarded-For"); forwarded != "" {
		attrs = append(attrs, slog.String("forwarded_for", forwarded[:min(len(forwarded), 200)])) // what a proxy says, or anybody
	}
	if errors.Is(reason, oidc.ErrClaims) { // of a token that the provider has signed: its operator wants to know
		attrs = append(attrs, slog.String("detail", fmt.Sprintf("%.300s", reason.Error())))
	}
	if prefix := apitoken.Prefix(secret); prefix != "" {
		attrs = append(attrs, slog.String("token_prefix", prefix))
	}
	if left := a.lines.notLogged(); left > 0 {
		attrs = append(attrs, slog.Int64("not_logged", left))
	}
	a.log.LogAttrs(r.Context(), slog.LevelWarn, "authentication_failed", attrs...)
}

func auditReason(r *http.Request, err error) string {
	switch {
	case strings.Join(r.Header.Values("Authorization"), "") == "":
		return "missing"
	case errors.Is(err, store.ErrRevokedToken):
		return "revoked"
	case errors.Is(err, store.ErrExpiredToken), errors.Is(err, oidc.ErrExpired):
		return "expired"
	case errors.Is(err, store.ErrUnknownToken):
		return "unknown"
	case errors.Is(err, oidc.ErrSignature):
		return "signature"
	case errors.Is(err, oidc.ErrClaims):
		return "claims"
	}
	return "malformed"
}
