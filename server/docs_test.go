package server_test

import (
	"maps"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

// The documentation page does not use the database, so SQLite is enough for its tests.
func docsServer(t *testing.T) *servertest.Server {
	t.Helper()
	s := servertest.New(t, storetest.SQLite(t))
	s.Client.Token = ""
	return s
}

var docsPaths = map[string]string{
	"/docs":                      "text/html; charset=utf-8",
	"/docs/":                     "text/html; charset=utf-8",
	"/docs/docs.css":             "text/css; charset=utf-8",
	"/docs/docs.js":              "text/javascript; charset=utf-8",
	"/docs/favicon.svg":          "image/svg+xml",
	"/docs/licenses.txt":         "text/plain; charset=utf-8",
	"/docs/problems":             "text/html; charset=utf-8",
	"/docs/problems/":            "text/html; charset=utf-8",
	"/docs/problems/not_found":   "text/html; charset=utf-8",
	"/docs/swagger-ui-bundle.js": "text/javascript; charset=utf-8",
	"/docs/swagger-ui.css":       "text/css; charset=utf-8",
}

func TestDocsFiles(t *testing.T) {
	t.Parallel()
	s := docsServer(t)
	for path, mediaType := range docsPaths {
		plain := s.Get(t, path)
		tag := plain.Header.Get("ETag")
		want := map[string]string{
			"Cache-Control": "no-cache",
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
				"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
			"Content-Type":                 mediaType,
			"Content-Encoding":             "",
			"Cross-Origin-Opener-Policy":   "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Referrer-Policy":              "no-referrer",
			"X-Content-Type-Options":       "nosniff",
		}
		got := map[string]string{}
		for name := range want {
			got[name] = plain.Header.Get(name)
		}
		if plain.Status != http.StatusOK || plain.Body == "" || !maps.Equal(got, want) {
			t.Errorf("%s: %d, %d bytes, %v", path, plain.Status, len(plain.Body), got)
		}
		head := s.Send(t, servertest.Request{Method: http.MethodHead, Target: path})
		if head.Status != http.StatusOK || head.Header.Get("ETag") != tag {
			t.Errorf("HEAD %s: %d, ETag %s", path, head.Status, head.Header.Get("ETag"))
		}

		// A browser accepts gzip and revalidates with the ETag of the compressed file.
		browser := servertest.Request{Method: http.MethodGet, Target: path, Header: []string{"Accept-Encoding: br, gzip;q=0.8"}}
		coded := s.Send(t, browser)
		if coded.Header.Get("Content-Encoding") == "gzip" {
			if coded.Header.Get("ETag") == tag || coded.Header.Get("Vary") != "Accept-Encoding" {
				t.Errorf("%s compressed: ETag %s, Vary %q", path, coded.Header.Get("ETag"), coded.Header.Get("Vary"))
			}
		} else if len(coded.Body) > 4096 {
			t.Errorf("%s is not compressed", path)
		}
		if coded.Body != plain.Body {
			t.Errorf("%s compressed: other %d bytes than the %d", path, len(coded.Body), len(plain.Body))
		}
		browser.Header = append(browser.Header, "If-None-Match: "+coded.Header.Get("ETag"))
		if again := s.Send(t, browser); again.Status != http.StatusNotModified {
			t.Errorf("%s again: %d", path, again.Status)
		}
	}
}

func TestDocsEncoding(t *testing.T) {
	t.Parallel()
	s := docsServer(t)
	for accepted, want := range map[string]string{
		"gzip": "gzip", "GZIP": "gzip", "deflate, gzip": "gzip", "gzip;q=0.1": "gzip", "gzip ; q=1.0": "gzip",
		"identity": "", "br": "", "gzip;q=0": "", "gzip; q=0.000, br": "", "xgzip": "",
	} {
		answer := s.Send(t, servertest.Request{
			Method: http.MethodGet, Target: "/docs/swagger-ui.css", Header: []string{"Accept-Encoding: " + accepted},
		})
		if got := answer.Header.Get("Content-Encoding"); got != want {
			t.Errorf("Accept-Encoding %q: Content-Encoding %q, want %q", accepted, got, want)
		}
	}
}

// The page links only to existing files and has nothing inline, which its Content-Security-Policy would block.
func TestDocsPage(t *testing.T) {
	t.Parallel()
	s := docsServer(t)
	page := s.Get(t, "/docs").Body
	links := regexp.MustCompile(`(?:href|src)="([^"]*)"`).FindAllStringSubmatch(page, -1)
	if len(links) < 8 {
		t.Fatalf("found %d links", len(links))
	}
	for _, link := range links {
		if docsPaths[link[1]] == "" && !strings.HasPrefix(link[1], "/openapi.") { // the contract is served beside the page
			t.Errorf("the page links to %s", link[1])
		}
	}
	if inline := regexp.MustCompile(`<style|style=|\son[a-z]+=|<script>`).FindString(page); inline != "" {
		t.Errorf("the page has %s", inline)
	}
}

func TestDocsRouting(t *testing.T) {
	t.Parallel()
	s := docsServer(t)
	for _, target := range []string{"/docs/index.html", "/docs/swagger-ui.css.gz", "/docs/../docs.go", "/docs/problems/nothing", "/docs/problems/not_found/"} {
		missing := s.Get(t, target)
		if want := `{"error":{"code":"not_found","message":"No such path"}}` + "\n"; missing.Status != http.StatusNotFound || missing.Body != want {
			t.Errorf("%s: %d %s", target, missing.Status, missing.Body)
		}
	}
	post := s.Send(t, servertest.Request{Method: http.MethodPost, Target: "/docs"})
	if allow := post.Header.Get("Allow"); post.Status != http.StatusMethodNotAllowed || allow != "GET, HEAD, OPTIONS" {
		t.Errorf("POST: %d, Allow %q", post.Status, allow)
	}
}
