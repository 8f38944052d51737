package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/clientapps/clientapps/server/servertest"
)

const noneMatchFailed = `{"error":{"code":"precondition_failed","message":"The object is there, with an entity tag that If-None-Match rules out"}}`

// conditionalWrites has the writes that support If-Match, and the path of the GET with their ETag.
var conditionalWrites = map[string]string{
	"updateApp": appPath, "removeApp": appPath, "updateCatalogApp": catalogPath, "deleteCatalogApp": "/v2/catalog-apps/" + newEntry,
	"replaceUrlPatterns": catalogPath + "/url-patterns", "replaceDesktopAliases": catalogPath + "/desktop-aliases",
	"updateClient": clientPath, "deleteClient": "/v2/clients/" + formerClient, "updateCatalogVendor": "", "updateCatalogCategory": "",
	"deleteCatalogVendor": "", "deleteCatalogCategory": "",
}

// currentETag returns the current ETag of an operation's object. Vendors and categories have no GET; an empty patch returns it.
func currentETag(t *testing.T, s *servertest.Server, operation string) string {
	t.Helper()
	if path := conditionalWrites[operation]; path != "" {
		return s.Get(t, path).Header.Get("ETag")
	}
	return s.Patch(t, requests[operation].target, `{}`).Header.Get("ETag")
}

// TestConditionsAreNeverIgnored sends both headers with every write. An operation supports them, or answers 400 and writes
// nothing.
func TestConditionsAreNeverIgnored(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		f := newFixture(t, s)
		withNewEntry(t, s)
		for operation, r := range requests {
			if r.method == http.MethodGet {
				continue
			}
			send := func(header ...string) *servertest.Response {
				return s.Send(t, servertest.Request{Method: r.method, Target: r.target, Body: r.body, Header: header})
			}
			before := f.content(t)
			if _, ok := conditionalWrites[operation]; !ok {
				for _, name := range []string{"If-Match", "If-None-Match"} {
					for _, value := range []string{"*", `"x"`, "x", ""} {
						want := invalidField(name, name+" is for operations on what has an ETag") + "\n"
						if got := send(name + ": " + value); got.Status != http.StatusBadRequest || got.Body != want {
							t.Errorf("%s with %s: %s: %d %s", operation, name, value, got.Status, got.Body)
						}
					}
				}
				if f.content(t) != before {
					t.Errorf("%s wrote", operation)
				}
				continue
			}
			tag := currentETag(t, s, operation)
			if tag == "" {
				t.Fatalf("%s: no tag", operation)
			}
			for header, want := range map[string]string{
				"If-None-Match: *":              noneMatchFailed,
				"If-None-Match: " + tag:         noneMatchFailed,
				"If-None-Match: W/" + tag:       noneMatchFailed,
				`If-None-Match: "x", ,` + tag:   noneMatchFailed,
				`If-Match: "x"`:                 stale,
				`If-Match: "x", W/` + tag:       stale,
				"If-Match: , \"x\",, \"never\"": stale,
			} {
				if got := send(header); got.Status != http.StatusPreconditionFailed || got.Body != want+"\n" {
					t.Errorf("%s with %s: %d %s", operation, header, got.Status, got.Body)
				}
			}
			if got := send("If-Match: "+tag, "If-None-Match: "+tag); got.Status != http.StatusPreconditionFailed || got.Body != noneMatchFailed+"\n" {
				t.Errorf("%s with both headers: %d %s", operation, got.Status, got.Body)
			}
			if f.content(t) != before {
				t.Errorf("%s wrote", operation)
			}
		}
	})
}

// TestTrueConditions sends every write that supports conditions with conditions that are true.
func TestTrueConditions(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		f := newFixture(t, s)
		for _, header := range []func(tag string) []string{
			func(string) []string { return []string{"If-Match: *"} },
			func(tag string) []string { return []string{"If-Match: ," + tag + ","} },
			func(string) []string { return []string{`If-None-Match: "x", W/"y"`} },
			func(tag string) []string { return []string{"If-Match: " + tag, `If-None-Match: "x"`} },
		} {
			f.reset(t)
			withNewEntry(t, s)
			for operation := range conditionalWrites {
				if operation == "removeApp" {
					continue // updateApp needs the app: see below
				}
				r := requests[operation]
				got := s.Send(t, servertest.Request{Method: r.method, Target: r.target, Body: r.body, Header: header(currentETag(t, s, operation))})
				if got.Status >= 300 {
					t.Errorf("%s: %d %s", operation, got.Status, got.Body)
				}
			}
			got := s.Send(t, servertest.Request{Method: http.MethodDelete, Target: appPath, Header: header(currentETag(t, s, "removeApp"))})
			if got.Status != http.StatusNoContent {
				t.Errorf("removeApp: %d %s", got.Status, got.Body)
			}
		}
	})
}

// matcherLists are the two lists of matchers, with a function that makes the body.
var matcherLists = map[string]func(values ...string) string{
	catalogPath + "/url-patterns":    func(values ...string) string { return `{"patterns":` + quoteAll(values) + `}` },
	catalogPath + "/desktop-aliases": func(values ...string) string { return `{"aliases":` + quoteAll(values) + `}` },
}

func quoteAll(values []string) string {
	all := "["
	for i, v := range values {
		if i > 0 {
			all += ","
		}
		all += quote(v)
	}
	return all + "]"
}

// TestListETag: every page of a list has the ETag of the whole list, which is the same on every server and changes only with
// the list.
func TestListETag(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		other := servertest.New(t, s.DatabaseURL)
		for path, body := range matcherLists {
			put := func(values []string, header ...string) int {
				return s.Send(t, servertest.Request{Method: http.MethodPut, Target: path, Body: body(values...), Header: header}).Status
			}
			tags := []string{s.Get(t, path).Header.Get("ETag")}
			for _, values := range [][]string{{"a", "b", "c"}, {"a", "b"}, {"a", "b", "c"}, {}, {"c"}} {
				last := tags[len(tags)-1]
				if status := put(values, "If-Match: "+last); status != http.StatusNoContent {
					t.Fatalf("%s: %v with the tag: %d", path, values, status)
				}
				if status := put([]string{"lost"}, "If-Match: "+last); status != http.StatusPreconditionFailed {
					t.Errorf("%s: the tag from before %v: %d", path, values, status)
				}
				whole := other.Get(t, path)
				tag := whole.Header.Get("ETag")
				// The empty list has the ETag of the empty list at the start.
				if at := slices.Index(tags, tag); at >= 0 && len(values) > 0 {
					t.Errorf("%s: %v has the ETag %s of an earlier list", path, values, tag)
				}
				for _, query := range []string{"", "?page_size=1", "?q=b", "?sort_by=created_at&sort_order=desc", "?q=nothing"} {
					if got := s.Get(t, path+query).Header.Get("ETag"); got != tag {
						t.Errorf("%s%s has the tag %s, the list %s", path, query, got, tag)
					}
					again := s.Send(t, servertest.Request{Method: http.MethodGet, Target: path + query, Header: []string{"If-None-Match: " + tag}})
					if again.Status != http.StatusNotModified {
						t.Errorf("%s%s again: %d", path, query, again.Status)
					}
				}
				if status := put(values); status != http.StatusNoContent || s.Get(t, path).Header.Get("ETag") != tag {
					t.Errorf("%s: the same list again has another ETag, or status %d", path, status)
				}
				tags = append(tags, tag)
			}
		}
	})
}

// TestConcurrentPutsWithOneETag: of sixteen concurrent PUTs with one ETag, to two servers, exactly one succeeds.
func TestConcurrentPutsWithOneETag(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		servers := []*servertest.Server{s, servertest.New(t, s.DatabaseURL)}
		for path, body := range matcherLists {
			tag := s.Get(t, path).Header.Get("ETag")
			statuses := make([]int, 16)
			var all sync.WaitGroup
			for i := range statuses {
				all.Go(func() {
					statuses[i] = servers[i%2].Send(t, servertest.Request{
						Method: http.MethodPut, Target: path, Body: body(fmt.Sprintf("list %d", i)), Header: []string{"If-Match: " + tag},
					}).Status
				})
			}
			all.Wait()
			won := 0
			for i, status := range statuses {
				switch status {
				case http.StatusNoContent:
					won++
					if got := s.Get(t, path+fmt.Sprintf("?q=list%%20%d", i)); got.Status != http.StatusOK || len(got.Body) < 60 {
						t.Errorf("%s: the list that was accepted is not stored: %s", path, got.Body)
					}
				case http.StatusPreconditionFailed:
				default:
					t.Errorf("%s: %d", path, status)
				}
			}
			if won != 1 {
				t.Errorf("%s: %d PUTs were accepted", path, won)
			}
		}
	})
}
