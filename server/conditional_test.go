package server_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
)

// malformed are invalid lists of entity tags.
var malformed = []string{
	" ", "x", `"x`, `x"`, `'x'`, `"x" "y"`, `,`, `*,`, `,*`, `"x" , W/ , "y"`, `"x y"`, `W/x`, `w/"x"`, `W/ "x"`, `W"x"`, `**`, `*, "x"`,
	`"x", *`, `""x""`, "\"\t\"", `"ä"`, `"` + strings.Repeat("x", 1100) + `"`,
}

// If-None-Match with the current ETag gets 304.
func TestIfNoneMatch(t *testing.T) {
	var all []scenario
	add := func(name string, status int, want string, header ...string) {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			body := want
			if method == http.MethodHead {
				body = ""
			}
			headers := []string{"Content-Type: application/json"}
			switch status {
			case http.StatusOK:
				headers = append(headers, "ETag: {etag}")
			case http.StatusNotModified:
				headers = []string{"ETag: {etag}", "Content-Type:", "Content-Length:"}
			}
			all = append(all, scenario{
				name: method + " " + name, method: method, header: header, status: status, want: body, headers: headers,
			})
		}
	}
	for _, value := range malformed {
		add(value, 400, invalidField("If-None-Match", "If-None-Match must be * or a list of entity tags"), "If-None-Match: "+value)
	}
	for _, value := range []string{`"x"`, `""`, `W/"x"`, `"x", "y"`, `"*"`, `"a,b", W/"c"`} {
		add(value, 200, asSeeded, "If-None-Match: "+value)
	}
	add("no header", 200, asSeeded)
	for _, value := range []string{"{etag}", "*", "W/{etag}", `, {etag}`, "{etag},", "\"x\",\t,,{etag} , ,", `"x", {etag}`, `{etag},"x"`, `"a,b" ,W/{etag} , "c"`} {
		add(value, 304, "", "If-None-Match: "+value)
	}
	add("several lines", 304, "", `If-None-Match: "x"`, `If-None-Match: "y", {etag}`, `If-None-Match: "z"`)
	add("several lines, none good", 200, asSeeded, `If-None-Match: "x"`, `If-None-Match: "y"`)
	add("several lines, one malformed", 400, invalidField("If-None-Match", "If-None-Match must be * or a list of entity tags"),
		`If-None-Match: "x"`, "If-None-Match: {etag}", "If-None-Match: x")
	scenarios(t, append(all,
		scenario{
			name: "of an unknown app", method: http.MethodGet, target: pathOf(clientID, nilID), header: []string{"If-None-Match: *"},
			status: 404, want: noApp(nilID),
		},
		scenario{
			name: "of a patched app", given: `{"license_count":7}`, method: http.MethodGet, header: []string{"If-None-Match: {etag}"},
			status: 304, headers: []string{"ETag: {etag}"},
		},
	))
}

// If-Match with a stale ETag gets 412.
func TestIfMatch(t *testing.T) {
	const body = `{"license_count":8}`
	written := []string{"license_count: 7 -> 8"}
	patched := app(false, false, "8", now)
	var all []scenario
	add := func(name string, status int, want string, header ...string) {
		sc := scenario{name: name, given: `{"license_count":7}`, header: header, body: body, status: status, want: want}
		if status == http.StatusOK {
			sc.writes = written
		}
		all = append(all, sc)
	}
	for _, value := range malformed {
		add(value, 400, invalidField("If-Match", "If-Match must be * or a list of entity tags"), "If-Match: "+value)
	}
	for _, value := range []string{`"x"`, `""`, `,"x"`, `"x",,"y",`, `W/{etag}`, `"x", "y"`, `"*"`, `"x", W/{etag}`, `"1", "2"`} {
		add(value, 412, stale, "If-Match: "+value)
	}
	add("several lines, none good", 412, stale, `If-Match: "x"`, `If-Match: W/{etag}`)
	for _, value := range []string{"{etag}", "*", `,,{etag},`, `"x", {etag}`, `{etag},"x"`, `"a,b" ,{etag} , W/"c"`, `W/{etag}, {etag}`} {
		add(value, 200, patched, "If-Match: "+value)
	}
	add("several lines", 200, patched, `If-Match: "x"`, `If-Match: {etag}`)
	scenarios(t, append(all,
		scenario{
			name: "an unknown app has no tag", target: pathOf(clientID, nilID), header: []string{"If-Match: *"}, body: body,
			status: 404, want: noApp(nilID),
		},
		scenario{
			name: "a patch that changes nothing is bound too", header: []string{`If-Match: "x"`}, body: `{}`,
			status: 412, want: stale,
		},
		scenario{
			name: "and so is one with the values that there are", given: `{"license_count":8}`, header: []string{`If-Match: "x"`}, body: body,
			status: 412, want: stale,
		},
	))
}

// The ETag changes exactly when the app changes, and an old ETag never matches again.
func TestETagFollowsTheApp(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		tags := map[string]string{s.Get(t, appPath).Header.Get("ETag"): "seed"}
		for _, step := range []struct {
			body    string
			changes bool
		}{
			{`{"license_count":0}`, true},
			{`{"license_count":0}`, false},
			{`{}`, false},
			{`{"license_count":null}`, true},
			{`{"is_favorite":true}`, true},
			{`{"is_favorite":false}`, true},
			{`{"is_favorite":false,"is_approved":false}`, false},
			{`{"is_approved":true}`, true},
		} {
			before := s.Get(t, appPath).Header.Get("ETag")
			r := s.Patch(t, appPath, step.body)
			after := r.Header.Get("ETag")
			if (after != before) != step.changes {
				t.Errorf("%s: tag %s after %s", step.body, after, before)
			}
			if read := s.Get(t, appPath); read.Header.Get("ETag") != after || read.Body != r.Body {
				t.Errorf("%s: answered %s %s, reads %s %s", step.body, after, r.Body, read.Header.Get("ETag"), read.Body)
			}
			if step.changes && tags[after] != "" {
				t.Errorf("%s: tag %s was that after %s", step.body, after, tags[after])
			}
			if step.changes {
				if r := s.Patch(t, appPath, `{"license_count":1}`, "If-Match: "+before); r.Status != http.StatusPreconditionFailed {
					t.Errorf("%s: the old tag is answered %d", step.body, r.Status)
				}
			}
			tags[after] = step.body
		}
	})
}

// The ETag covers the whole body, including the embedded catalog data.
func TestETagFollowsTheCatalog(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		f := newFixture(t, s)
		other := s.Get(t, otherPath)
		for _, change := range []struct{ statement, shows string }{
			{"UPDATE catalog_apps SET canonical_name = 'Slack Two', version = version + 1", `"canonical_name":"Slack Two"`},
			{"UPDATE catalog_vendors SET name = 'Salesforce', version = version + 1", `"name":"Salesforce"`},
			{"UPDATE catalog_categories SET name = 'Chat', version = version + 1", `"name":"Chat"`},
			{"DELETE FROM catalog_app_categories", `"categories":[]`},
			{"UPDATE catalog_apps SET vendor_id = NULL, version = version + 1", `"vendor":null`},
		} {
			before := s.Get(t, appPath)
			if _, err := f.db.ExecContext(t.Context(), change.statement); err != nil {
				t.Fatal(err)
			}
			if err := s.Store.Seed(t.Context(), store.Dataset{}); err != nil { // seeding counts as a change of the catalog
				t.Fatal(err)
			}
			old := before.Header.Get("ETag")
			after := s.Send(t, servertest.Request{Method: http.MethodGet, Target: appPath, Header: []string{"If-None-Match: " + old}})
			if after.Status != http.StatusOK || !strings.Contains(after.Body, change.shows) {
				t.Errorf("%s: answered %d %s", change.statement, after.Status, after.Body)
			}
			if r := s.Patch(t, appPath, `{"license_count":1}`, "If-Match: "+old); r.Status != http.StatusPreconditionFailed {
				t.Errorf("%s: the old tag is answered %d", change.statement, r.Status)
			}
			if r := s.Patch(t, appPath, `{}`, "If-Match: "+after.Header.Get("ETag")); r.Status != http.StatusOK || r.Body != after.Body {
				t.Errorf("%s: the new tag is answered %d %s", change.statement, r.Status, r.Body)
			}
		}
		if now := s.Get(t, otherPath); now.Header.Get("ETag") == other.Header.Get("ETag") {
			t.Error("the ETag of another client's app with the same catalog app is unchanged")
		}
	})
}

// Of sixteen parallel patches with one ETag exactly one succeeds. The others write nothing.
func TestParallelPatches(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		const n = 16
		f := newFixture(t, s)
		for round := range 5 {
			tag := f.etag(t)
			before := f.snapshot(t)
			answers := make([]*servertest.Response, n)
			var start, done sync.WaitGroup
			start.Add(1)
			for i := range n {
				done.Go(func() {
					start.Wait()
					answers[i] = s.Patch(t, appPath, fmt.Sprintf(`{"license_count":%d}`, 100*round+i+1), "If-Match: "+tag)
				})
			}
			start.Done()
			done.Wait()
			var won string
			for _, r := range answers {
				switch {
				case r.Status == http.StatusOK && won == "":
					won = r.Body
				case r.Status != http.StatusPreconditionFailed || r.Body != stale+"\n":
					t.Errorf("round %d: want one 200 and otherwise 412, got %d %s", round, r.Status, r.Body)
				}
			}
			if read := s.Get(t, appPath); won == "" || read.Body != won {
				t.Errorf("round %d: the winner got %s, reads %s", round, won, read.Body)
			}
			if after := f.snapshot(t); len(after.changes) != len(before.changes)+1 {
				t.Errorf("round %d: %d changes after %d", round, len(after.changes), len(before.changes))
			}
		}
	})
}

// Without If-Match every parallel patch succeeds and changes only its own field.
func TestParallelPatchesOfSeveralFields(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		for licenses, to := range []bool{true, false} {
			var done sync.WaitGroup
			for _, body := range []string{
				fmt.Sprintf(`{"is_favorite":%t}`, to), fmt.Sprintf(`{"is_approved":%t}`, to), fmt.Sprintf(`{"license_count":%d}`, licenses),
			} {
				for range 5 {
					done.Go(func() {
						if r := s.Patch(t, appPath, body); r.Status != http.StatusOK {
							t.Errorf("%s answered %d %s", body, r.Status, r.Body)
						}
					})
				}
			}
			done.Wait()
			if got, want := s.Get(t, appPath).Body, app(to, to, strconv.Itoa(licenses), now)+"\n"; got != want {
				t.Errorf("reads %s, want %s", got, want)
			}
		}
	})
}
