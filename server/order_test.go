package server_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

// fault is one thing that is wrong with a request, and its answer.
type fault struct {
	name   string
	rank   int             // a lower rank is answered first; faults of the same rank have no order
	on     string          // the only method that can have the fault, or ""
	make   func(*scenario) // adds the fault to a request
	status int
	want   string
}

func withHeader(line string) func(*scenario) {
	return func(s *scenario) { s.header = append(s.header, line) }
}

var faults = []fault{
	{"no token", 1, "", func(s *scenario) { s.as = "anonymous" }, 401, unauthorized},
	{"unknown token", 1, "", func(s *scenario) { s.as = "unknown" }, 401, unauthorized},
	{"expired token", 1, "", func(s *scenario) { s.as = "expired" }, 401, unauthorized},
	{"another client's token", 2, "", func(s *scenario) { s.as = "other" }, 403, forbidden},
	{"no scope", 2, "", func(s *scenario) { s.as = "scopeless" }, 403, forbidden},
	{"large body", 3, "PATCH", func(s *scenario) { s.body = strings.Repeat("x", 1<<20+1) }, 413, tooLarge},
	{"media type", 3, "PATCH", withHeader("Content-Type: text/plain"), 415, wrongType},
	{"encoding", 3, "PATCH", withHeader("Content-Encoding: gzip"), 415, wrongEncoding},
	{"value", 4, "PATCH", func(s *scenario) { s.body = `{"is_favorite":0}` }, 400, invalid("is_favorite must be a boolean value")},
	{"syntax", 4, "PATCH", func(s *scenario) { s.body = "x" }, 400, invalid("Request body is not valid JSON at byte 0")},
	{
		"If-Match", 4, "PATCH", withHeader("If-Match: x"),
		400, invalidField("If-Match", "If-Match must be * or a list of entity tags"),
	},
	{
		"If-None-Match", 4, "GET", withHeader("If-None-Match: x"),
		400, invalidField("If-None-Match", "If-None-Match must be * or a list of entity tags"),
	},
	{"parameter", 4, "", func(s *scenario) { s.target += "?x=1" }, 400, invalidField("x", "Unknown query parameter 'x'")},
	{
		"malformed app", 4, "", func(s *scenario) { s.target = strings.Replace(s.target, "/apps/", "/apps/x", 1) },
		400, invalidField("app_id", "app_id must be a UUID"),
	},
	{"Accept", 4, "", withHeader("Accept: text/html"), 406, notJSON},
	{"suspended client", 5, "PATCH", func(s *scenario) { s.target = pathOf(formerClient, appID) }, 409, clientSuspended(formerClient)},
	{"unknown app", 6, "", func(s *scenario) { s.target = pathOf(clientID, nilID) }, 404, noApp(nilID)},
	{"stale tag", 7, "PATCH", withHeader(`If-Match: "x"`), 412, stale},
}

// A request with two faults gets the answer of the one with the lower rank.
func TestOrderOfAnswers(t *testing.T) {
	var all []scenario
	for _, method := range []string{http.MethodGet, http.MethodPatch} {
		possible := slices.DeleteFunc(slices.Clone(faults), func(f fault) bool { return f.on != "" && f.on != method })
		for i, early := range possible {
			faulty := scenario{
				name: fmt.Sprint(method, ", ", early.name), method: method, target: appPath, status: early.status, want: early.want,
			}
			if method == http.MethodPatch {
				faulty.body = `{"is_favorite":true}`
			}
			alone := faulty
			early.make(&alone)
			all = append(all, alone)
			for _, late := range possible[i+1:] {
				if late.rank == early.rank || early.name == "If-Match" && late.name == "stale tag" {
					continue // no request can have both, or they have no order
				}
				both := faulty
				both.name += " before " + late.name
				late.make(&both)
				early.make(&both)
				all = append(all, both)
			}
		}
	}
	scenarios(t, all)
}

// Errors outside the ranks: 404 and 405 come before authentication; 409 and unknown references come last.
func TestOrderOfTheFirstAndTheLastAnswers(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		missing := strings.Replace(vendorPath, "f6a7", "f6a8", 1)
		if got := s.Send(t, servertest.Request{Method: http.MethodPost, Target: "/v2/catalog-vendors", Body: `{"name":"Taken"}`}); got.Status != 201 {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
		for _, test := range []struct {
			name, method, target, body string
			header                     []string
			status                     int
		}{
			{"unknown path before 401", "GET", "/v2/nothing", "", []string{"Authorization:"}, 404},
			{"405 before 401", "DELETE", "/v2/clients", "", []string{"Authorization:"}, 405},
			{"404 before 409", "PATCH", missing, `{"name":"taken"}`, nil, 404},
			{"404 before 412", "PATCH", missing, `{"name":"New"}`, []string{`If-Match: "x"`}, 404},
			{"412 before 409", "PATCH", vendorPath, `{"name":"taken"}`, []string{`If-Match: "x"`}, 412},
			{"412 before 409, by the other header", "PATCH", vendorPath, `{"name":"taken"}`, []string{"If-None-Match: *"}, 412},
			{"409", "PATCH", vendorPath, `{"name":"taken"}`, nil, 409},
			{"404 before a reference to nothing", "PATCH", "/v2/catalog-apps/" + nilID, `{"vendor_id":"` + nilID + `"}`, nil, 404},
			{"412 before a reference to nothing", "PATCH", catalogPath, `{"vendor_id":"` + nilID + `"}`, []string{`If-Match: "x"`}, 412},
			{"a reference to nothing before 409", "PATCH", catalogPath, `{"vendor_id":"` + nilID + `","canonical_name":"SLACK"}`, nil, 400},
		} {
			got := s.Send(t, servertest.Request{Method: test.method, Target: test.target, Body: test.body, Header: test.header})
			if got.Status != test.status {
				t.Errorf("%s: %d %s", test.name, got.Status, got.Body)
			}
		}
	})
}

// TestRepeatedRequests sends every write twice, as a client does that has lost the answer.
func TestRepeatedRequests(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		withNewEntry(t, s)
		for _, operation := range slices.Sorted(maps.Keys(requests)) {
			r := requests[operation]
			if r.method == http.MethodDelete || r.method == http.MethodGet || needsFeed(operation) {
				continue // what deletes runs last
			}
			checkRepeated(t, s, operation, map[string]int{
				"addApp": 409, "createCatalogApp": 409, "createCatalogVendor": 409, "createCatalogCategory": 409, "createClient": 201, "createToken": 201,
				"createWebhook": 201, "testWebhook": 429,
			}[operation])
		}
		checkRepeated(t, s, "removeApp", 404)
	})
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		withNewEntry(t, s)
		for operation, r := range requests {
			if r.method == http.MethodDelete && operation != "removeApp" && operation != "revokeToken" {
				checkRepeated(t, s, operation, 404)
			}
		}
	})
}

// checkRepeated sends a request twice and checks the second status. 0 stands for the status of the first.
func checkRepeated(t *testing.T, s *servertest.Server, operation string, second int) {
	t.Helper()
	r := requests[operation]
	request := servertest.Request{Method: r.method, Target: r.target, Body: r.body}
	first, again := s.Send(t, request), s.Send(t, request)
	if second == 0 {
		second = first.Status
	}
	if first.Status >= 300 || again.Status != second {
		t.Errorf("%s: %d, and again %d %s", operation, first.Status, again.Status, again.Body)
	}
}

// The head of a request may have 64 KiB.
func TestHeadsOf64KiB(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, storetest.SQLite(t))
	if got := s.Send(t, servertest.Request{Method: http.MethodGet, Target: "/healthz", Header: []string{"X-A: " + strings.Repeat("x", 64_000)}}); got.Status != 200 {
		t.Errorf("in a header: %d %s", got.Status, got.Body)
	}
	if got := s.Get(t, "/"+strings.Repeat("x", 64_000)); got.Status != 404 {
		t.Errorf("in the path: %d", got.Status)
	}
}
