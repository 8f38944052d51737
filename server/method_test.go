package server_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/server/servertest"
)

// An unsupported method gets 405 with Allow before authentication.
func TestMethodNotAllowed(t *testing.T) {
	var all []scenario
	for _, method := range []string{
		http.MethodPost, http.MethodPut, http.MethodTrace, "PROPFIND", "REPORT", "QUERY", "patch", "Get", "X",
	} {
		for _, as := range []string{"anonymous", "everything", "other"} {
			for _, target := range []string{appPath, pathOf(nilID, "1"), appPath + "?x=%zz"} {
				all = append(all, scenario{
					name: method + " by " + as + " " + target, as: as, method: method, target: target,
					header: []string{"Accept: text/html", "If-Match: x"}, status: 405, want: noMethod,
					headers: []string{"Allow: DELETE, GET, HEAD, OPTIONS, PATCH", "Accept-Patch:", "WWW-Authenticate:"},
				})
			}
		}
	}
	scenarios(t, all)
}

// OPTIONS lists the methods of a path without authentication.
func TestOptions(t *testing.T) {
	var all []scenario
	for _, as := range []string{"anonymous", "everything", "other", "unknown"} {
		for _, target := range []string{appPath, pathOf(nilID, nilID), pathOf("1", "2"), appPath + "?x=%zz"} {
			all = append(all, scenario{
				name: as + " " + target, as: as, method: http.MethodOptions, target: target, header: []string{"Accept: text/html"}, status: 204,
				headers: []string{
					"Allow: DELETE, GET, HEAD, OPTIONS, PATCH", "Accept-Patch: application/json, application/merge-patch+json",
					"Content-Type:", "ETag:", "WWW-Authenticate:",
				},
			})
		}
	}
	scenarios(t, all)
}

// An unknown path gets 404 with every method, with or without a token.
func TestUnknownPaths(t *testing.T) {
	var all []scenario
	for _, target := range []string{
		"//", "/v2", "/v2/", "/v1/clients/" + clientID + "/apps/" + appID, "/V2" + appPath[3:], appPath[3:], "/v2" + appPath,
		"/v2/client/" + clientID + "/apps/" + appID, "/v2/clients/" + clientID + "/apps/", "/v2/clients/" + clientID + "/Apps/" + appID,
		appPath + "/", appPath + "//", appPath + "/x", appPath + "/x/y", "/" + appPath, "/v2//clients/" + clientID + "/apps/" + appID,
		"/v2/clients/" + clientID + "//apps/" + appID, "/v2/clients/" + clientID + "/apps//" + appID, "/v2/./clients/" + clientID + "/apps/" + appID,
		"/v2/clients/x/y/apps/" + appID, "/.env", "/admin", "/%2e%2e/etc/passwd",
		"/favicon.ico", "/debug/pprof/",
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPatch, http.MethodPost, http.MethodDelete, http.MethodOptions} {
			for _, as := range []string{"anonymous", "everything"} {
				want := noRoute
				if method == http.MethodHead {
					want = ""
				}
				all = append(all, scenario{
					name: method + " " + target + " by " + as, as: as, method: method, target: target, body: `{"is_favorite":true}`,
					status: 404, want: want, headers: []string{"Allow:", "Accept-Patch:", "WWW-Authenticate:", "Location:"},
				})
			}
		}
	}
	scenarios(t, all)
}

// HEAD has the same status and header fields as GET, and no body.
func TestHead(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		f := newFixture(t, s)
		for _, like := range []struct {
			name, as, target string
			header           []string
			status           int
		}{
			{name: "found", status: 200},
			{name: "compressed", status: 200, header: []string{"Accept-Encoding: gzip"}},
			{name: "not modified", status: 304, header: []string{"If-None-Match: *"}},
			{name: "malformed id", status: 400, target: pathOf(clientID, "1")},
			{name: "malformed tag", status: 400, header: []string{"If-None-Match: x"}},
			{name: "no token", status: 401, as: "anonymous"},
			{name: "forbidden", status: 403, as: "other"},
			{name: "unknown app", status: 404, target: pathOf(clientID, nilID)},
			{name: "unknown path", status: 404, target: "/v2"},
			{name: "not acceptable", status: 406, header: []string{"Accept: text/html"}},
			{name: "alive", status: 200, target: "/healthz"},
			{name: "ready", status: 200, target: "/readyz"},
			{name: "the root", status: 302, target: "/"},
			{name: "the catalog of APIs", status: 200, target: "/.well-known/api-catalog"},
		} {
			request := servertest.Request{
				Method: http.MethodGet, Target: or(like.target, appPath), Header: append(like.header, "X-Request-Id: same"),
			}
			get := f.clients[or(like.as, "everything")].Send(t, request)
			request.Method = http.MethodHead
			head := f.clients[or(like.as, "everything")].Send(t, request)
			if get.Status != like.status || head.Status != like.status || head.Body != "" {
				t.Errorf("%s: GET %d, HEAD %d %q", like.name, get.Status, head.Status, head.Body)
			}
			get.Header.Del("Date")
			head.Header.Del("Date")
			if !maps.EqualFunc(get.Header, head.Header, slices.Equal) {
				t.Errorf("%s: header of GET\n%v\nof HEAD\n%v", like.name, get.Header, head.Header)
			}
		}
	})
}

// Answers without a body have none on the wire: otherwise the next answer on the connection would start with it.
func TestNoBodyOnTheWire(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		requests := []struct {
			method, header string
			status         int
		}{
			{"HEAD", "", 200},
			{"HEAD", "If-None-Match: *\r\n", 304},
			{"GET", "If-None-Match: *\r\n", 304},
			{"HEAD", "Accept: text/html\r\n", 406},
			{"OPTIONS", "", 204},
			{"GET", "", 200},
		}
		for _, r := range requests {
			_, err := fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%s\r\n", r.method, appPath, s.Token, r.header)
			if err != nil {
				t.Fatal(err)
			}
		}
		in := bufio.NewReader(conn)
		for _, r := range requests {
			response, err := http.ReadResponse(in, &http.Request{Method: r.method})
			if err != nil {
				t.Fatalf("%s %s: %v", r.method, r.header, err)
			}
			body, err := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if err != nil || response.StatusCode != r.status || (len(body) > 0) != (r.method == "GET" && r.status == 200) {
				t.Errorf("%s %s: %d %q %v", r.method, r.header, response.StatusCode, body, err)
			}
		}
	})
}
