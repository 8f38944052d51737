package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

// catalogLists are the catalog's lists in several pages and orders, and the objects that show the same data.
var catalogLists = []string{
	"/v2/catalog-apps", "/v2/catalog-apps?q=sla&page_size=1", "/v2/catalog-apps?sort_by=updated_at&page_size=1",
	"/v2/catalog-vendors", "/v2/catalog-vendors?page_size=1", "/v2/catalog-categories", "/v2/catalog-categories?sort_order=desc",
	"/v2/catalog-apps/summary", catalogPath, catalogPath + "/url-patterns", catalogPath + "/desktop-aliases?page_size=1",
}

// catalogChanges are successive changes of the catalog. %s is replaced by a word that is different for each database.
var catalogChanges = []servertest.Request{
	{Method: http.MethodPost, Target: "/v2/catalog-categories", Body: `{"name":"Audio %s"}`},
	{Method: http.MethodPatch, Target: categoryPath, Body: `{"name":"Chat %s"}`},
	{Method: http.MethodPost, Target: "/v2/catalog-vendors", Body: `{"name":"Acme %s"}`},
	{Method: http.MethodPatch, Target: vendorPath, Body: `{"name":"Vendor %s"}`},
	{Method: http.MethodPatch, Target: vendorPath, Body: `{"url":"https://%s.example"}`},
	{Method: http.MethodPatch, Target: catalogPath, Body: `{"canonical_name":"Slack %s"}`},
	{Method: http.MethodPatch, Target: catalogPath, Body: `{"category_ids":[],"description":"%s"}`},
	{Method: http.MethodPost, Target: "/v2/catalog-apps", Body: `{"canonical_name":"Intranet %s"}`},
	{Method: http.MethodPut, Target: catalogPath + "/url-patterns", Body: `{"patterns":["a","%s"]}`},
	{Method: http.MethodPut, Target: catalogPath + "/url-patterns", Body: `{"patterns":["b","%s"]}`},
	{Method: http.MethodPut, Target: catalogPath + "/desktop-aliases", Body: `{"aliases":["%s"]}`},
	{Method: http.MethodDelete, Target: "/v2/catalog-apps/" + newEntry},
}

// TestETagIdentifiesOneBody: two bodies never share an ETag, and equal bodies have equal ETags, on every server. This includes
// another database at the same address, such as a restored backup or a new demo.
func TestETagIdentifiesOneBody(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		bodies, tags := map[string]string{}, map[string]string{}
		look := func(at string, servers ...*servertest.Server) {
			for _, server := range servers {
				for _, target := range catalogLists {
					r := server.Get(t, target)
					tag := r.Header.Get("ETag")
					if body, known := bodies[target+tag]; tag == "" || known && body != r.Body {
						t.Errorf("%s: %s has the tag %s with the body %swhich is that of %s", at, target, tag, r.Body, body)
					}
					if had, known := tags[target+r.Body]; known && had != tag {
						t.Errorf("%s: %s has the tag %s, and had %s with the same body", at, target, tag, had)
					}
					bodies[target+tag], tags[target+r.Body] = r.Body, tag
				}
			}
		}
		newDatabase := storetest.SQLite
		if strings.HasPrefix(s.DatabaseURL, "postgres") {
			newDatabase = storetest.Postgres
		}
		for word, first := range map[string]*servertest.Server{"first": s, "second": servertest.New(t, newDatabase(t))} {
			servers := []*servertest.Server{first, servertest.New(t, first.DatabaseURL)}
			withNewEntry(t, first)
			if word == "second" {
				for _, server := range servers {
					server.SetTime(storetest.Now.Add(time.Hour))
				}
			}
			look(word, servers...)
			for i, change := range catalogChanges {
				change.Body = strings.ReplaceAll(change.Body, "%s", word)
				if r := servers[i%2].Send(t, change); r.Status >= 300 {
					t.Fatalf("%s %s: %d %s", change.Method, change.Target, r.Status, r.Body)
				}
				look(fmt.Sprint(word, " after change ", i), servers...)
			}
		}
	})
}

// A migration may recompute the sort keys of names. The list changes its order and must change its ETag, although no row was
// updated through the API.
func TestListETagCoversOrder(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		db := storetest.SQL(t, s.DatabaseURL)
		for path, body := range matcherLists {
			if r := s.Send(t, servertest.Request{Method: http.MethodPut, Target: path, Body: body("a", "b", "c")}); r.Status != http.StatusNoContent {
				t.Fatalf("%s: %d %s", path, r.Status, r.Body)
			}
			before := s.Get(t, path)
			for _, table := range []string{"catalog_url_patterns", "catalog_desktop_aliases"} {
				if _, err := db.ExecContext(t.Context(), "UPDATE "+table+" SET name_key = 'd' WHERE name_key = 'a'"); err != nil {
					t.Fatal(err)
				}
			}
			after := s.Get(t, path)
			if after.Body == before.Body || after.Header.Get("ETag") == before.Header.Get("ETag") {
				t.Errorf("%s: %s %s, then %s %s", path, before.Header.Get("ETag"), before.Body, after.Header.Get("ETag"), after.Body)
			}
		}
	})
}

// The catalog's lists have a weak ETag, which is the same on every server and changes when their content changes. Other lists
// have none.
func TestCatalogListsAreConditional(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		servers := []*servertest.Server{s, servertest.New(t, s.DatabaseURL)}
		for round, target := range []string{
			"/v2/catalog-apps", "/v2/catalog-apps?q=sla&page_size=1", "/v2/catalog-vendors", "/v2/catalog-categories?sort_order=desc",
		} {
			first := s.Get(t, target)
			tag := first.Header.Get("ETag")
			if !strings.HasPrefix(tag, `W/"`) {
				t.Fatalf("%s: the tag is %s", target, tag)
			}
			for _, server := range servers {
				for _, header := range [][]string{
					{"If-None-Match: " + tag},
					{"If-None-Match: *"},
					{"If-None-Match: " + tag[2:]},
					{`If-None-Match: , "x",, ` + tag},
					{`If-None-Match: "x"`, "If-None-Match: " + tag},
					{"If-None-Match: " + tag, "Accept-Encoding: gzip"},
				} {
					for _, method := range []string{http.MethodGet, http.MethodHead} {
						again := server.Send(t, servertest.Request{Method: method, Target: target, Header: header})
						if again.Status != http.StatusNotModified || again.Body != "" || again.Header.Get("ETag") != tag || again.Header.Get("Link") != "" {
							t.Errorf("%s %s with %v: %d, ETag %s", method, target, header, again.Status, again.Header.Get("ETag"))
						}
					}
				}
				if got := server.Send(t, servertest.Request{Method: http.MethodGet, Target: target, Header: []string{`If-None-Match: "x"`}}); got.Body != first.Body {
					t.Errorf("%s with another tag: %d %s", target, got.Status, got.Body)
				}
			}
			for _, change := range []servertest.Request{
				{Method: http.MethodPatch, Target: vendorPath, Body: fmt.Sprintf(`{"name":"Vendor %d"}`, round)},
				{Method: http.MethodPatch, Target: categoryPath, Body: fmt.Sprintf(`{"name":"Category %d"}`, round)},
			} {
				if r := s.Send(t, change); r.Status != http.StatusOK {
					t.Fatalf("%s: %d %s", change.Target, r.Status, r.Body)
				}
			}
			for _, server := range servers {
				after := server.Send(t, servertest.Request{Method: http.MethodGet, Target: target, Header: []string{"If-None-Match: " + tag}})
				if after.Status != http.StatusOK || after.Header.Get("ETag") == tag {
					t.Errorf("%s after a change: %d, ETag %s", target, after.Status, after.Header.Get("ETag"))
				}
			}
		}
		for _, target := range []string{clientPath + "/apps", appPath + "/changes", "/v2/clients"} {
			if tag := s.Get(t, target).Header.Get("ETag"); tag != "" {
				t.Errorf("%s has the tag %s", target, tag)
			}
		}
	})
}
