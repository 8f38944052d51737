package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

func failures(t *testing.T, s *servertest.Server) []servertest.Line {
	t.Helper()
	var lines []servertest.Line
	for _, line := range s.Log.Lines(t) {
		if line["msg"] == "authentication_failed" {
			lines = append(lines, line)
		}
	}
	return lines
}

// Each authentication failure is one log line with the reason, the request, the remote address and only the first characters of
// the token. A valid token without permission is not an authentication failure.
func TestAuthenticationFailuresAreLogged(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		f := newFixture(t, s)
		s.Log.Forbid(f.clients["unknown"].Token)
		f.clients["mistyped"] = &servertest.Client{URL: s.URL, Token: s.Token[:len(s.Token)-1] + "-"}
		for _, r := range []struct{ as, header, reason string }{
			{"anonymous", "", "missing"},
			{"anonymous", "Authorization: Basic c2VjcmV0OnNlY3JldA==", "malformed"},
			{"mistyped", "", "malformed"},
			{"unknown", "X-Forwarded-For: 192.0.2.7, 10.0.0.1", "unknown"},
			{"expired", "", "expired"},
			{"revoked", "", "revoked"},
			{"scopeless", "", ""},
			{"other", "", ""},
			{"everything", "", ""},
		} {
			before := len(failures(t, s))
			client, header := f.clients[r.as], []string{"X-Request-Id: this"}
			if r.header != "" {
				header = append(header, r.header)
			}
			client.Send(t, servertest.Request{Method: http.MethodGet, Target: appPath, Header: header})
			lines := failures(t, s)[before:]
			if r.reason == "" {
				if len(lines) > 0 {
					t.Errorf("%s: %v", r.as, lines)
				}
				continue
			}
			if len(lines) != 1 {
				t.Fatalf("%s: %v", r.as, lines)
			}
			line := lines[0]
			var prefix, forwarded any
			if r.reason == "unknown" || r.reason == "expired" || r.reason == "revoked" {
				prefix = client.Token[:9]
			}
			if strings.HasPrefix(r.header, "X-Forwarded-For") {
				forwarded = "192.0.2.7, 10.0.0.1"
			}
			for key, want := range map[string]any{
				"level": "WARN", "reason": r.reason, "request_id": "this", "operation_id": "getApp", "token_prefix": prefix, "forwarded_for": forwarded,
			} {
				if line[key] != want {
					t.Errorf("%s: %s is %v, want %v", r.as, key, line[key], want)
				}
			}
			if addr, _ := line["remote_addr"].(string); !strings.HasPrefix(addr, "127.0.0.1:") {
				t.Errorf("%s: remote_addr is %v", r.as, line["remote_addr"])
			}
		}
	})
}

// A flood of failures writes a bounded number of log lines. The next line says how many were left out.
func TestAuthenticationFailuresDoNotFillTheLog(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, storetest.SQLite(t))
	anonymous := &servertest.Client{URL: s.URL}
	for range 300 {
		anonymous.Get(t, appPath)
	}
	if n := len(failures(t, s)); n != 100 {
		t.Errorf("%d lines", n)
	}
	s.Clock.Advance(time.Second)
	anonymous.Get(t, appPath)
	lines := failures(t, s)
	if last := lines[len(lines)-1]; len(lines) != 101 || last["not_logged"] != 200.0 {
		t.Errorf("%d lines, the last is %v", len(lines), last)
	}
}

// No token appears in the log, wherever it was in the request. Log.check looks for tokens after every test; this test makes sure
// that there were tokens to redact.
func TestTokensAreRedacted(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		token := s.Token
		for _, r := range []servertest.Request{
			{Method: http.MethodGet, Target: "/" + token},
			{Method: http.MethodGet, Target: "/v2/clients/" + token},
			{Method: http.MethodGet, Target: appPath + "?" + token + "=x"},
			{Method: http.MethodGet, Target: appPath + "?token=" + token},
			{Method: http.MethodGet, Target: appPath, Header: []string{"X-Request-Id: " + token}},
			{Method: http.MethodGet, Target: appPath, Header: []string{"Authorization: Basic " + token}},
			{Method: http.MethodGet, Target: appPath, Header: []string{"Authorization:", "X-Forwarded-For: " + token}},
			{Method: http.MethodGet, Target: appPath, Header: []string{"Accept: " + token}},
			{Method: http.MethodPatch, Target: appPath, Body: `{"` + token + `":1}`},
			{Method: http.MethodPatch, Target: appPath, Body: `{"a` + token + `b":1}`},
			{Method: http.MethodPost, Target: "/v2/clients", Body: `{"name":"x"}`, Header: []string{"Content-Type: " + token}},
			{Method: token, Target: appPath},
		} {
			s.Send(t, r)
		}
		redacted := 0
		for _, line := range s.Log.Lines(t) {
			for _, value := range line {
				if text, ok := value.(string); ok && strings.Contains(text, "capp_***") {
					redacted++
				}
			}
		}
		if redacted < 6 {
			t.Errorf("%d values with a token", redacted)
		}
	})
}
