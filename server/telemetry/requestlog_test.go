package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"
)

// logging makes an observer with switchable limits. last returns the last line and clears the log.
func logging(t *testing.T, allow *bool) (o *Observer, last func() map[string]any) {
	t.Helper()
	var text bytes.Buffer
	allowed := func() bool { return *allow }
	o, err := New(Config{Log: slog.New(slog.NewJSONHandler(&text, nil)), AllowRefusal: allowed, AllowAuthFailure: allowed})
	if err != nil {
		t.Fatal(err)
	}
	return o, func() map[string]any {
		t.Helper()
		defer text.Reset()
		if text.Len() == 0 {
			return nil
		}
		line := map[string]any{}
		if err := json.Unmarshal(text.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		return line
	}
}

// A line has all that is known of the request. Without metrics and traces the observer only logs.
func TestLineOfARequest(t *testing.T) {
	t.Parallel()
	allow := true
	o, last := logging(t, &allow)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/path?query", nil)
	token := uuid.New()
	ended := time.Date(2026, 2, 3, 4, 5, 6, 7e6, time.UTC)
	serve := func(x *Request) map[string]any {
		o.Begin(r.Context(), r, x)
		o.End(r, x, ended.Add(-time.Millisecond), time.Millisecond)
		return last()
	}
	for name, c := range map[string]struct {
		request Request
		want    map[string]any
	}{
		"no route": {Request{Status: 404}, map[string]any{"level": "INFO", "operation_id": "", "path": "/path", "status": 404.0, "duration": 1e6}},
		"failed": {
			Request{ID: "id", Operation: o.Operation("op", http.MethodGet, "/route", nil), TokenID: token, Status: 503, Cause: "why", Err: errors.New("text")},
			map[string]any{
				"time": "2026-02-03T04:05:06.007Z", "msg": "request", "method": "GET",
				"level": "ERROR", "operation_id": "op", "request_id": "id", "token_id": token.String(), "cause": "why", "error": "text",
				"trace_id": nil, "not_logged": nil,
			},
		},
		"another method": {
			Request{Operation: o.Operation("op", http.MethodHead, "/route", nil), Status: 200},
			map[string]any{"level": "INFO", "operation_id": "op", "method": "GET", "path": "/path", "token_id": nil},
		},
	} {
		line := serve(&c.request)
		for key, want := range c.want {
			if line[key] != want {
				t.Errorf("%s: %s is %v, want %v", name, key, line[key], want)
			}
		}
	}
}

// Lines that an unauthenticated client can provoke are limited and counted. Other lines are always written.
func TestLinesAreBounded(t *testing.T) {
	t.Parallel()
	allow := false
	o, last := logging(t, &allow)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	request := func(token uuid.UUID, status int) map[string]any {
		o.End(r, &Request{TokenID: token, Status: status}, time.Now(), 0)
		return last()
	}
	for _, status := range []int{400, 401, 404, 431, 503} {
		if line := request(uuid.Nil, status); line != nil {
			t.Errorf("%d: %v", status, line)
		}
	}
	if line := request(uuid.Nil, 200); line == nil || line["not_logged"] != 5.0 {
		t.Errorf("a good request: %v", line)
	}
	for _, line := range []map[string]any{request(uuid.New(), 400), request(uuid.Nil, 500)} {
		if line == nil || line["not_logged"] != nil {
			t.Errorf("%v", line)
		}
	}
	failed := func() map[string]any {
		o.AuthenticationFailed(r, &Request{}, AuthFailure{Reason: "why", Detail: errors.New("detail"), TokenPrefix: "prefix"})
		return last()
	}
	if line := failed(); line != nil {
		t.Errorf("%v", line)
	}
	allow = true
	want := map[string]any{"level": "WARN", "reason": "why", "detail": "detail", "token_prefix": "prefix", "not_logged": 1.0}
	line := failed()
	for key, want := range want {
		if line[key] != want {
			t.Errorf("%s is %v, want %v", key, line[key], want)
		}
	}
}
