package server_test

import (
	"strings"
	"testing"

	"github.com/clientapps/clientapps/server/servertest"
)

// Each request is one line with the operation, the status and the token's id, even if middleware refused it. Log.check verifies
// after every test that no line shows a token and no line is missing.
func TestLog(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		f := newFixture(t, s)
		for _, r := range []struct {
			as, method, target, body string
			operation                string
			status                   float64
			tokenID, failed          bool
		}{
			{"everything", "GET", appPath, "", "getApp", 200, true, false},
			{"everything", "HEAD", appPath, "", "getApp", 200, true, false},
			{"everything", "PATCH", appPath, `{"is_favorite":true}`, "updateApp", 200, true, false},
			{"everything", "PATCH", appPath, `{"is_favorite":1}`, "updateApp", 400, true, true},
			{"everything", "GET", appPath + "?token=" + s.Token, "", "getApp", 400, true, true},
			{"anonymous", "GET", appPath, "", "getApp", 401, false, true},
			{"unknown", "PATCH", appPath, "{}", "updateApp", 401, false, true},
			{"other", "PATCH", appPath, "{}", "updateApp", 403, true, true},
			{"everything", "GET", pathOf(clientID, nilID), "", "getApp", 404, true, true},
			{"everything", "GET", "/nowhere", "", "", 404, false, true},
			{"everything", "PUT", appPath, "", "", 405, false, true},
			{"anonymous", "OPTIONS", appPath, "", "", 204, false, false},
			{"anonymous", "GET", "/healthz", "", "", 200, false, false},
		} {
			before := len(s.Log.Requests(t))
			f.clients[r.as].Send(t, servertest.Request{
				Method: r.method, Target: r.target, Body: r.body, Header: []string{"X-Request-Id: line"},
			})
			lines := s.Log.Requests(t)
			if len(lines) != before+1 {
				t.Fatalf("%s %s: %d lines", r.method, r.target, len(lines)-before)
			}
			line := lines[before]
			path, _, _ := strings.Cut(r.target, "?")
			for key, want := range map[string]any{
				"operation_id": r.operation, "method": r.method, "path": path, "status": r.status, "request_id": "line", "level": "INFO",
			} {
				if line[key] != want {
					t.Errorf("%s %s by %s: %s is %v, want %v", r.method, r.target, r.as, key, line[key], want)
				}
			}
			if took, ok := line["duration"].(float64); !ok || took <= 0 {
				t.Errorf("%s %s: duration is %v", r.method, r.target, line["duration"])
			}
			if _, ok := line["token_id"]; ok != r.tokenID || ok && r.as == "everything" && line["token_id"] != s.Actor.ID.String() {
				t.Errorf("%s %s by %s: token_id is %v", r.method, r.target, r.as, line["token_id"])
			}
			if _, ok := line["error"]; ok != r.failed {
				t.Errorf("%s %s by %s: error is %v", r.method, r.target, r.as, line["error"])
			}
		}
		s.Log.Forbid(f.clients["unknown"].Token)
	})
}
