package server_test

import (
	"testing"

	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

// A response with an ETag may be cached privately and must be revalidated, so that 304 works. Other responses are not stored. The
// remaining security headers are checked on every response of every test.
func TestCaching(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, storetest.SQLite(t))
	tag := s.Get(t, appPath).Header.Get("ETag")
	for _, c := range []struct {
		method, target, header, body string
		status                       int
		want                         string
	}{
		{"GET", appPath, "", "", 200, "private, no-cache"},
		{"HEAD", appPath, "", "", 200, "private, no-cache"},
		{"GET", appPath, "If-None-Match: " + tag, "", 304, "private, no-cache"},
		{"PATCH", appPath, "", "{}", 200, "private, no-cache"},
		{"GET", clientPath + "/apps", "", "", 200, "no-store"},
		{"GET", appPath + "?x=1", "", "", 400, "no-store"},
		{"GET", appPath, "Authorization:", "", 401, "no-store"},
		{"GET", "/nowhere", "", "", 404, "no-store"},
		{"PUT", appPath, "", "", 405, "no-store"},
		{"DELETE", appPath, "", "", 204, "no-store"},
		{"OPTIONS", appPath, "", "", 204, "no-store"},
		{"GET", "/healthz", "", "", 200, "no-store"},
		{"GET", "/openapi.json", "", "", 200, "private, no-cache"},
		{"GET", "/docs", "", "", 200, "no-cache"},
		{"GET", "/", "", "", 302, "no-store"},
		{"GET", "/.well-known/api-catalog", "", "", 200, "no-store"},
	} {
		var header []string
		if c.header != "" {
			header = append(header, c.header)
		}
		got := s.Send(t, servertest.Request{Method: c.method, Target: c.target, Header: header, Body: c.body})
		if got.Status != c.status || got.Header.Get("Cache-Control") != c.want || got.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s %s: %d %v, want %s", c.method, c.target, got.Status, got.Header, c.want)
		}
	}
}
