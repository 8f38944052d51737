package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/server/servertest"
)

// Every request has an id: the client's own, if it is usable. The response, the log and the history have the same id.
func TestRequestID(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		f := newFixture(t, s)
		seen := map[string]bool{}
		licenses := 0
		send := func(line string) string {
			t.Helper()
			licenses++
			header := []string{}
			if line != "" {
				header = append(header, line)
			}
			r := s.Patch(t, appPath, `{"license_count":`+strings.Repeat("1", licenses%9+1)+`}`, header...)
			id := r.Header.Get("X-Request-Id")
			changes := f.rows(t, "SELECT request_id, actor_name, actor_id FROM app_changes WHERE field = 'license_count' ORDER BY version DESC LIMIT 1")
			if got := changes[0]; got["request_id"] != id || got["actor_name"] != s.Actor.Name || got["actor_id"] != s.Actor.ID.String() {
				t.Errorf("%s: answered %s, the history has %v", line, id, got)
			}
			lines := s.Log.Requests(t)
			if got := lines[len(lines)-1]["request_id"]; got != id {
				t.Errorf("%s: answered %s, the log has %v", line, id, got)
			}
			return id
		}
		for _, id := range []string{"a", "0", "-", ".", "_", "A-Z.z_0-9", strings.Repeat("x", 128), "0f3c2b1a9d8e7f60"} {
			if got := send("X-Request-Id: " + id); got != id {
				t.Errorf("%q was replaced by %q", id, got)
			}
		}
		for _, line := range []string{
			"", "X-Request-Id: ", "X-Request-Id: " + strings.Repeat("x", 129), "X-Request-Id: a b", "X-Request-Id: a,b", "X-Request-Id: a/b",
			"X-Request-Id: a:b", "X-Request-Id: ä", `X-Request-Id: "a"`, "X-Request-Id: a\tb", "X-Request-Id: <a>", "X-Request-Id: %61", "X-RequestId: a",
		} {
			got := send(line)
			if _, given, _ := strings.Cut(line, ": "); got == given || got == "a" || seen[got] {
				t.Errorf("%q was answered with %q", line, got)
			}
			seen[got] = true
		}
		for _, r := range []servertest.Request{
			{Method: http.MethodGet, Target: "/"},
			{Method: http.MethodPost, Target: appPath},
			{Method: http.MethodOptions, Target: appPath},
			{Method: http.MethodHead, Target: appPath},
			{Method: http.MethodGet, Target: appPath, Header: []string{"If-None-Match: *"}},
			{Method: http.MethodGet, Target: "/healthz"},
		} {
			r.Header = append(r.Header, "X-Request-Id: kept")
			if got := s.Send(t, r).Header.Get("X-Request-Id"); got != "kept" {
				t.Errorf("%s %s: %q", r.Method, r.Target, got)
			}
		}
	})
}
