package server_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

const problemType = "application/problem+json"

// Accept chooses the form of an error. Problem details have to be named, and not ranked behind JSON.
func TestProblemNegotiation(t *testing.T) {
	t.Parallel()
	rows := []struct {
		accept  []string
		problem bool // the form of the 404
		refused bool // instead of the success and the 404: 406
	}{
		{nil, false, false},
		{[]string{""}, false, false},
		{[]string{problemType}, true, false},
		{[]string{"Application/Problem+JSON"}, true, false},
		{[]string{problemType + "; charset=utf-8"}, true, false},
		{[]string{problemType + ";q=0.001"}, true, false},
		{[]string{problemType + ";q=0"}, false, true},
		{[]string{problemType + ";q=0.000"}, false, true},
		{[]string{"text/html, " + problemType}, true, false},
		{[]string{"text/html", problemType}, true, false},
		{[]string{"text/html, " + problemType + ";q=0"}, false, true},
		{[]string{"application/json"}, false, false},
		{[]string{"application/json, " + problemType}, true, false},
		{[]string{problemType + ", application/json"}, true, false},
		{[]string{"application/json", problemType}, true, false},
		{[]string{"application/json;q=0.9, " + problemType}, true, false},
		{[]string{"application/json;q=0.5, " + problemType + ";q=0.5"}, true, false},
		{[]string{"application/json, " + problemType + ";q=0.9"}, false, false},
		{[]string{"application/json;q=0.2, " + problemType + ";q=0.1"}, false, false},
		{[]string{"application/json, " + problemType + ";q=0"}, false, false},
		{[]string{"application/json;q=0, " + problemType}, true, true},
		{[]string{problemType + ", */*"}, true, false},
		{[]string{problemType + ", */*;q=0.1"}, true, false},
		{[]string{problemType + ";q=0.5, */*"}, false, false},
		{[]string{problemType + ";q=0.5, application/*;q=0.6, */*;q=0.1"}, false, false},
		{[]string{problemType + ";q=0.5, application/*;q=0.4, */*"}, true, false},
		{[]string{problemType + ";q=0.5, application/json;q=0.1, application/*"}, true, false},
		{[]string{problemType + ", */*;q=0"}, true, true},
		{[]string{"*/*"}, false, false},
		{[]string{"application/*"}, false, false},
		{[]string{"application/*+json"}, false, true},
		{[]string{"application/problem+xml"}, false, true},
		{[]string{"application/json;q=0"}, false, true},
		{[]string{problemType + ", ;"}, false, false}, // malformed: as without the header
	}
	missing := appPath[:len(appPath)-1] + "1"
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		for _, row := range rows {
			var header []string
			for _, value := range row.accept {
				header = append(header, "Accept: "+value)
			}
			for _, r := range []struct {
				servertest.Request

				status int
			}{
				{servertest.Request{Method: "GET", Target: appPath}, 200},
				{servertest.Request{Method: "PATCH", Target: appPath, Body: "{}"}, 200},
				{servertest.Request{Method: "GET", Target: missing}, 404},
				{servertest.Request{Method: "PATCH", Target: missing, Body: "{}"}, 404},
				{servertest.Request{Method: "HEAD", Target: missing}, 404},
			} {
				want, media := r.status, "application/json"
				if row.refused {
					want = 406
				}
				if row.problem && want >= 400 {
					media = problemType
				}
				r.Header = header
				got := s.Send(t, r.Request)
				if got.Status != want || got.Header.Get("Content-Type") != media {
					t.Errorf("%s %s for %q: %d %s, want %d %s", r.Method, r.Target, row.accept, got.Status, got.Header.Get("Content-Type"), want, media)
				}
			}
		}
	})
}

// The members have the order of the contract, and absent ones are left out.
func TestProblemBodies(t *testing.T) {
	t.Parallel()
	problem := func(code, title string, status int, detail, more string) string {
		return fmt.Sprintf(`{"type":"/docs/problems/%s","title":"%s","status":%d,"detail":"%s","instance":"urn:request:a.B-c_1","code":"%s"%s}`,
			code, title, status, detail, code, more) + "\n"
	}
	missing := appPath[:len(appPath)-1] + "1"
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		for _, row := range []struct {
			method, target, body string
			want                 string
			header               []string
		}{
			{"GET", "/nowhere", "", problem("not_found", "Not found", 404, "No such path", ""), nil},
			{"GET", "/docs/problems/nothing", "", problem("not_found", "Not found", 404, "No such path", ""), nil},
			{"POST", "/healthz", "", problem("method_not_allowed", "Method not allowed", 405, "Method not allowed", ""), nil},
			{"GET", appPath, "", problem("unauthorized", "Unauthorized", 401, "Authentication required", ""), []string{"Authorization:"}},
			{"GET", missing, "", problem("not_found", "Not found", 404, "App not found", `,"details":{"app_id":"`+missing[len(missing)-36:]+`"}`), nil},
			{"PATCH", appPath, `{"is_favorite":1}`, problem("invalid_request", "Invalid request", 400, "is_favorite must be a boolean value", ""), nil},
			{"PATCH", appPath, `{"catalog_app":{}}`, problem("invalid_request", "Invalid request", 400,
				"Field 'catalog_app' cannot be updated via this endpoint",
				`,"details":{"field":"catalog_app","reason":"Managed through the Catalog Apps domain"}`), nil},
			{"PATCH", appPath, `{"is_favorite":1,"license_count":-1}`, problem("invalid_request", "Invalid request", 400,
				"is_favorite must be a boolean value",
				`,"errors":[{"field":"is_favorite","pointer":"/is_favorite","message":"is_favorite must be a boolean value"},`+
					`{"field":"license_count","pointer":"/license_count","message":"license_count must be between 0 and 2147483647"}],`+
					`"details":{"field":"is_favorite"}`), nil},
		} {
			header := append([]string{"Accept: " + problemType, "X-Request-Id: a.B-c_1"}, row.header...)
			got := s.Send(t, servertest.Request{Method: row.method, Target: row.target, Header: header, Body: row.body})
			if got.Body != row.want {
				t.Errorf("%s %s %s:\n%s\nwant\n%s", row.method, row.target, row.body, got.Body, row.want)
			}
		}
	})
}

// Refusals that the other tests of both forms do not have.
func TestProblemsOfAllSorts(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		withFormerClient(t, s)
		expired := feedCursor("changes\n"+clientPath+"/changes\n", "0123456789abcdef", "7")
		for status, all := range map[int][]servertest.Request{
			400: {{Method: "GET", Target: clientPath + "/apps?cursor=x"}, {Method: "HEAD", Target: clientPath + "/apps?page_size=0"}},
			404: {
				{Method: "GET", Target: "/nowhere"},
				{Method: "HEAD", Target: "/v2/nowhere"},
				{Method: "GET", Target: appPath + "/x/y"},
				{Method: "GET", Target: "/docs/nothing"},
			},
			405: {{Method: "DELETE", Target: "/v2/clients"}, {Method: "POST", Target: "/openapi.json"}, {Method: "PATCH", Target: "/docs"}},
			406: {{Method: "GET", Target: "/v2/changes/stream", Header: []string{"Accept: application/xml"}}},
			409: {
				{Method: "POST", Target: clientPath + "/apps", Body: `{"catalog_app_id":"a1b2c3d4-e5f6-7890-abcd-ef1234567890"}`},
				{Method: "DELETE", Target: catalogPath},
				{Method: "PATCH", Target: "/v2/clients/" + formerClient + "/apps/" + appID, Body: "{}"},
			},
			410: {{Method: "GET", Target: clientPath + "/changes?cursor=" + expired}},
			412: {
				{Method: "PATCH", Target: appPath, Body: "{}", Header: []string{`If-Match: "x"`}},
				{Method: "DELETE", Target: appPath, Header: []string{`If-Match: "x"`}},
			},
		} {
			for _, r := range all {
				if got := s.SendBoth(t, r); got.Status != status {
					t.Errorf("%s %s: %d %s, want %d", r.Method, r.Target, got.Status, got.Body, status)
				}
			}
		}
	})
}

// A problem is compressed like any body, and its Vary names everything that it depends on, once.
func TestProblemsVary(t *testing.T) {
	t.Parallel()
	const origin = "https://app.example.com"
	ids := strings.Repeat(`"x",`, 200)
	large := servertest.Request{Method: "POST", Target: clientPath + "/apps/favorites", Body: `{"app_ids":[` + strings.TrimSuffix(ids, ",") + `]}`}
	storetest.Each(t, func(t *testing.T, url string) {
		s := servertest.New(t, url, func(c *server.Config) { c.CORSOrigins = []string{origin} })
		for _, accept := range []string{"", "Accept: " + problemType} {
			for _, coding := range []string{"", "Accept-Encoding: gzip"} {
				for _, r := range []servertest.Request{large, {Method: "GET", Target: "/nowhere"}, {Method: "GET", Target: "/docs/problems/x"}} {
					r.Header = []string{"Origin: " + origin}
					for _, line := range []string{accept, coding} {
						if line != "" {
							r.Header = append(r.Header, line)
						}
					}
					got := s.Send(t, r)
					names := map[string]int{}
					for name := range strings.SplitSeq(strings.Join(got.Header.Values("Vary"), ", "), ", ") {
						names[name]++
					}
					if len(names) != 3 || names["Origin"] != 1 || names["Accept-Encoding"] != 1 || names["Accept"] != 1 {
						t.Errorf("%s %s %v: Vary is %q", r.Method, r.Target, r.Header, got.Header.Values("Vary"))
					}
					if compressed := got.Header.Get("Content-Encoding") == "gzip"; compressed != (coding != "" && len(got.Body) > 1024) {
						t.Errorf("%s %s %v: %d bytes, compressed: %t", r.Method, r.Target, r.Header, len(got.Body), compressed)
					}
					if got.Header.Get("Access-Control-Allow-Origin") != origin {
						t.Errorf("%s %s %v: %v", r.Method, r.Target, r.Header, got.Header)
					}
				}
			}
		}
	})
}

// A stream is as it was: Accept decides the form of its refusal, and not of the stream.
func TestProblemsOfStreams(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		for accept, want := range map[string]string{
			problemType:                         "text/event-stream",
			"text/event-stream, " + problemType: "text/event-stream",
			"application/json, " + problemType:  "text/event-stream",
		} {
			got := s.Send(t, servertest.Request{Method: "GET", Target: "/v2/changes/stream?" + feedEnd, Header: []string{"Accept: " + accept}})
			if got.Status != http.StatusOK || got.Header.Get("Content-Type") != want {
				t.Errorf("%s: %d %s", accept, got.Status, got.Header.Get("Content-Type"))
			}
		}
		got := s.Send(t, servertest.Request{
			Method: "GET", Target: "/v2/changes/stream?cursor=x", Header: []string{"Accept: text/event-stream, " + problemType},
		})
		if got.Status != http.StatusBadRequest || got.Header.Get("Content-Type") != problemType {
			t.Errorf("a refusal: %d %s", got.Status, got.Header.Get("Content-Type"))
		}
	})
}

// The answer to a malformed HTTP request, whose headers nobody reads, is JSON.
func TestMalformedRequestsAreNoProblems(t *testing.T) {
	t.Parallel()
	r := run(t, time.Minute)
	conn := r.dial(t)
	if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\nAccept: "+problemType+"\r\nno header\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	all, _ := io.ReadAll(conn) // until the server closes the connection
	if got := string(all); !strings.HasPrefix(got, "HTTP/1.1 400 ") || !strings.Contains(got, "\r\nContent-Type: application/json\r\n") ||
		!strings.HasSuffix(got, invalid("Malformed HTTP request")+"\n") {
		t.Errorf("answered %q", got)
	}
}

// Every success is JSON to whoever asks for problem details alone.
func TestEveryOperationIsServedToWhoNamesProblemsAlone(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		servesEveryOperation(t, s, "Accept: text/html, "+problemType)
	})
}
