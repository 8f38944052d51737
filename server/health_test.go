package server_test

import (
	"net/http"
	"testing"

	"github.com/clientapps/clientapps/server/servertest"
)

// The liveness probe ignores the database. The readiness probe needs a database that answers and has the current schema.
func TestHealth(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		anonymous := &servertest.Client{URL: s.URL}
		check := func(target string, status int, body string) {
			t.Helper()
			if got := anonymous.Get(t, target); got.Status != status || got.Body != body {
				t.Errorf("%s: %d %q, want %d %q", target, got.Status, got.Body, status, body)
			}
		}
		check("/healthz", 200, "ok\n")
		check("/readyz", 200, "ready\n")
		check("/healthz/", 404, noRoute+"\n")
		for _, target := range []string{"/healthz", "/readyz"} {
			for method, status := range map[string]int{http.MethodOptions: 204, http.MethodPost: 405, http.MethodPatch: 405} {
				got := anonymous.Send(t, servertest.Request{Method: method, Target: target})
				if got.Status != status || got.Header.Get("Allow") != "GET, HEAD, OPTIONS" || got.Header.Get("Accept-Patch") != "" {
					t.Errorf("%s %s: %d %v", method, target, got.Status, got.Header)
				}
			}
		}
		f := newFixture(t, s)
		if _, err := f.db.ExecContext(t.Context(), "DELETE FROM goose_db_version WHERE version_id > 0"); err != nil {
			t.Fatal(err)
		}
		check("/readyz", 503, unavailable+"\n")
		check("/healthz", 200, "ok\n")
		if err := s.Store.Close(); err != nil {
			t.Fatal(err)
		}
		check("/readyz", 503, unavailable+"\n")
		check("/healthz", 200, "ok\n")
	})
}
