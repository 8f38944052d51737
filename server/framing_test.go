package server_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

// A request with both Transfer-Encoding and Content-Length (RFC 9112, 6.3) may be split differently by a proxy. The server closes
// the connection after it and does not answer what follows.
func TestChunksEndTheConnection(t *testing.T) {
	t.Parallel()
	r := run(t, time.Minute)
	head := "PATCH " + appPath + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + r.Token + "\r\nContent-Type: application/json\r\n"
	next := "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, text := range map[string]string{
		"a length and chunks": head + "Content-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + next,
		"chunks and a length": head + "Transfer-Encoding: chunked\r\nContent-Length: 200\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + next,
		"chunks alone":        head + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + next,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := r.dial(t)
			if _, err := io.WriteString(conn, text); err != nil {
				t.Fatal(err)
			}
			all, _ := io.ReadAll(conn) // until the server closes the connection
			if got := string(all); strings.Count(got, "HTTP/1.1 ") != 1 || !strings.HasPrefix(got, "HTTP/1.1 200 ") ||
				!strings.Contains(got, "\r\nConnection: close\r\n") {
				t.Errorf("answered %q", got)
			}
		})
	}
}

// OPTIONS * asks for the options of the whole server (RFC 9110, 9.3.7).
func TestOptionsOfTheServer(t *testing.T) {
	t.Parallel()
	r := run(t, time.Minute)
	conn := r.dial(t)
	if _, err := io.WriteString(conn, "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	all, _ := io.ReadAll(conn) // until the server closes the connection
	if got := string(all); !strings.HasPrefix(got, "HTTP/1.1 204 ") || !strings.Contains(got, "\r\nX-Request-Id: ") ||
		!strings.Contains(got, "\r\nAllow: DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT\r\n") {
		t.Errorf("answered %q", got)
	}
}

// x-gzip is an alias of gzip (RFC 9110, 8.4.1.3).
func TestXGzip(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, storetest.SQLite(t))
	plain := s.Get(t, "/openapi.json")
	for _, accept := range []string{"x-gzip", "br, x-gzip;q=0.5"} {
		coded := s.Send(t, servertest.Request{Method: http.MethodGet, Target: "/openapi.json", Header: []string{"Accept-Encoding: " + accept}})
		if coded.Header.Get("Content-Encoding") != "gzip" || coded.Body != plain.Body {
			t.Errorf("%s: encoded %q", accept, coded.Header.Get("Content-Encoding"))
		}
	}
}

// An answer that depends on the Origin header has Vary: Origin, besides its other Vary values.
func TestVaryByOrigin(t *testing.T) {
	t.Parallel()
	const origin = "https://app.example.com"
	s := servertest.New(t, storetest.SQLite(t), func(c *server.Config) { c.CORSOrigins = []string{origin} })
	for _, from := range []string{origin, "https://evil.example.com", ""} {
		for _, accept := range []string{"", "gzip"} {
			for _, target := range []string{appPath, "/v2/nowhere", "/openapi.json"} {
				var header []string
				if from != "" {
					header = append(header, "Origin: "+from)
				}
				if accept != "" {
					header = append(header, "Accept-Encoding: "+accept)
				}
				got := s.Send(t, servertest.Request{Method: http.MethodGet, Target: target, Header: header})
				vary := strings.Join(got.Header.Values("Vary"), ", ")
				if !strings.Contains(vary, "Origin") || !strings.Contains(vary, "Accept-Encoding") {
					t.Errorf("%s from %q for %q: Vary is %q", target, from, accept, vary)
				}
			}
		}
	}
}
