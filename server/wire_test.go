package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// describe gives the reference page's catalog app a description so that the app's body has this length.
func (f *fixture) describe(t *testing.T, length int) {
	t.Helper()
	statement := "UPDATE catalog_apps SET description = '', version = version + 1"
	for range 2 {
		if _, err := f.db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
		if err := f.Store.Seed(t.Context(), store.Dataset{}); err != nil { // seeding counts as a change of the catalog
			t.Fatal(err)
		}
		missing := length - len(f.Get(t, appPath).Body)
		statement = "UPDATE catalog_apps SET description = '" + strings.Repeat("x", max(missing, 0)) + "', version = version + 1"
	}
}

// A body over 1 KiB is compressed if the client accepts gzip. Decompressed it is the same body, and its ETag works like the one
// of the uncompressed body.
func TestCompression(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		f := newFixture(t, s)
		ask := func(method, accept string, header ...string) *servertest.Response {
			t.Helper()
			if accept != "" {
				header = append(header, "Accept-Encoding: "+accept)
			}
			body := ""
			if method == http.MethodPatch {
				body = `{}`
			}
			r := s.Send(t, servertest.Request{Method: method, Target: appPath, Header: header, Body: body})
			if vary := strings.Join(r.Header.Values("Vary"), ","); !strings.Contains(vary, "Accept-Encoding") {
				t.Errorf("%s for %q: Vary is %q", method, accept, vary)
			}
			return r
		}
		for length, compressed := range map[int]bool{1000: false, 1024: false, 1025: true, 2000: true} {
			f.describe(t, length)
			plain := s.Get(t, appPath)
			if len(plain.Body) != length || plain.Header.Get("Content-Encoding") != "" {
				t.Fatalf("a plain body of %d bytes, %q", len(plain.Body), plain.Header.Get("Content-Encoding"))
			}
			tag := plain.Header.Get("ETag")
			for _, method := range []string{http.MethodGet, http.MethodPatch} {
				for accept, asked := range map[string]bool{
					"gzip": true, "gzip, br": true, "br;q=1, gzip;q=0.5": true, "*": false,
					"": false, "identity": false, "br": false, "gzip;q=0": false, "zstd": false,
				} {
					r := ask(method, accept)
					got := r.Header.Get("Content-Encoding")
					if (got == "gzip") != (asked && compressed) && accept != "*" {
						t.Errorf("%s of %d bytes for %q is encoded %q", method, length, accept, got)
					}
					if r.Status != http.StatusOK || r.Body != plain.Body {
						t.Errorf("%s of %d bytes for %q: %d %s", method, length, accept, r.Status, r.Body)
					}
					if (r.Header.Get("ETag") == tag) == (got == "gzip") {
						t.Errorf("%s of %d bytes for %q: encoded %q, tag %s, of the plain one %s", method, length, accept, got, r.Header.Get("ETag"), tag)
					}
					for _, known := range []string{tag, r.Header.Get("ETag"), "W/" + r.Header.Get("ETag")} {
						for _, again := range []string{"", "gzip"} {
							if r := ask(http.MethodGet, again, "If-None-Match: "+known); r.Status != http.StatusNotModified {
								t.Errorf("%s is not %s for %q: %d", known, tag, again, r.Status)
							}
						}
					}
					if r := ask(http.MethodPatch, accept, "If-Match: "+r.Header.Get("ETag")); r.Status != http.StatusOK {
						t.Errorf("If-Match %s: %d %s", r.Header.Get("ETag"), r.Status, r.Body)
					}
				}
			}
			if head := ask(http.MethodHead, "gzip"); head.Status != http.StatusOK {
				t.Errorf("HEAD: %d", head.Status)
			}
		}
	})
}

// Only scripts of the configured origins may call the API.
func TestCORS(t *testing.T) {
	t.Parallel()
	const allowed, stranger = "https://app.example.com", "https://evil.example.com"
	closed := servertest.New(t, storetest.SQLite(t))
	open := servertest.New(t, storetest.SQLite(t), func(c *server.Config) { c.CORSOrigins = []string{allowed} })
	for _, c := range []struct {
		name    string
		s       *servertest.Server
		origin  string
		granted bool
	}{
		{"not configured", closed, allowed, false},
		{"another origin", open, stranger, false},
		{"another scheme", open, "http://app.example.com", false},
		{"a subdomain", open, "https://x.app.example.com", false},
		{"no origin", open, "null", false},
		{"allowed", open, allowed, true},
	} {
		origin := "Origin: " + c.origin
		preflight := servertest.Request{Method: http.MethodOptions, Target: appPath, Header: []string{
			origin, "Authorization:", "Access-Control-Request-Method: PATCH", "Access-Control-Request-Headers: authorization,content-type,if-match",
		}}
		for _, r := range []struct {
			request servertest.Request
			status  int
		}{
			{servertest.Request{Method: http.MethodGet, Target: appPath, Header: []string{origin}}, 200},
			{servertest.Request{Method: http.MethodPatch, Target: appPath, Body: `{}`, Header: []string{origin}}, 200},
			{servertest.Request{Method: http.MethodPatch, Target: appPath, Body: `{`, Header: []string{origin}}, 400},
			{servertest.Request{Method: http.MethodGet, Target: appPath, Header: []string{origin, "Authorization:"}}, 401},
			{servertest.Request{Method: http.MethodGet, Target: "/nowhere", Header: []string{origin}}, 404},
			{preflight, 204},
		} {
			got := c.s.Send(t, r.request)
			want := ""
			if c.granted {
				want = c.origin
			}
			if got.Status != r.status || got.Header.Get("Access-Control-Allow-Origin") != want {
				t.Errorf("%s: %s %s: %d, allowed is %q", c.name, r.request.Method, r.request.Target, got.Status, got.Header.Get("Access-Control-Allow-Origin"))
			}
			if got.Header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s: credentials of a browser are allowed", c.name)
			}
			if r.status == 204 && got.Header.Get("Allow") != "DELETE, GET, HEAD, OPTIONS, PATCH" {
				t.Errorf("%s: Allow is %q", c.name, got.Header.Get("Allow"))
			}
			if r.status == 204 && (got.Header.Get("Access-Control-Allow-Methods") == "PATCH") != c.granted {
				t.Errorf("%s: allowed methods are %q", c.name, got.Header.Get("Access-Control-Allow-Methods"))
			}
			if r.status == 200 && c.granted && !strings.Contains(got.Header.Get("Access-Control-Expose-Headers"), "Etag") &&
				!strings.Contains(got.Header.Get("Access-Control-Expose-Headers"), "ETag") {
				t.Errorf("%s: exposed are %q", c.name, got.Header.Get("Access-Control-Expose-Headers"))
			}
		}
	}
}
