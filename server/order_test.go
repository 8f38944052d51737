package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// fault is one thing wrong with a request, and its answer.
type fault struct {
	name   string
	rank   int             // the earlier is answered; faults of one rank have no order
	on     string          // the only method that can have it, or ""
	make   func(*scenario) // makes a request faulty
	status int
	want   string
}

func withHeader(line string) func(*scenario) {
	return func(s *scenario) { s.header = append(s.header, line) }
}

var faults = []fault{
	{"no token", 1, "", func(s *scenario) { s.as = "nobody" }, 401, unauthorized},
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
	{"unknown app", 5, "", func(s *scenario) { s.target = pathOf(clientID, nilID) }, 404, noApp(nilID)},
	{"stale tag", 6, "PATCH", withHeader(`If-Match: "x"`), 412, stale},
}

// Faults are answered in this order: of two, a request gets the answer of the earlier.
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
