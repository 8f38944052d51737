package server_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/server/schemas"
	"github.com/clientapps/clientapps/server/servertest"
)

// allTables returns all rows of all tables.
func (f *fixture) allTables(t *testing.T) string {
	t.Helper()
	names := "SELECT name FROM sqlite_master WHERE type = 'table'"
	if strings.HasPrefix(f.DatabaseURL, "postgres") {
		names = "SELECT tablename AS name FROM pg_tables WHERE schemaname = current_schema()"
	}
	var all []string
	for _, table := range f.rows(t, names) {
		for _, r := range f.rows(t, "SELECT * FROM "+table["name"]) {
			delete(r, "last_used_at") // of the token: a dry run is a use
			all = append(all, table["name"]+r.String())
		}
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

var (
	madeUpTime = regexp.MustCompile(`"(created|updated)_at":"[^"]*"`)
	anyID      = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
)

// withoutGenerated returns a body without ids that the write makes up, and without times. Ids in known are the same for both.
func withoutGenerated(body, known string) string {
	body = madeUpTime.ReplaceAllString(body, `"${1}_at":"T"`)
	return anyID.ReplaceAllStringFunc(body, func(id string) string {
		if strings.Contains(known, id) {
			return id
		}
		return "ID"
	})
}

// TestDryRun makes every request that can be tried first with and then without dry_run, and again, so that refusals are tried, too. The
// answers are the same, and the tries leave no trace.
func TestDryRun(t *testing.T) {
	t.Parallel()
	doc, err := schemas.Contract()
	if err != nil {
		t.Fatal(err)
	}
	var tried, others []string
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			if op.Parameters.GetByInAndName("query", "dry_run") != nil {
				tried = append(tried, op.OperationID)
			} else {
				others = append(others, op.OperationID)
			}
		}
	}
	slices.Sort(tried)
	for _, id := range others {
		writes := requests[id].method != http.MethodGet
		of := strings.Contains(requests[id].target, "/tokens") || strings.Contains(requests[id].target, "/webhooks")
		if writes && !of {
			t.Errorf("%s has no dry_run", id)
		}
	}
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		withNewEntry(t, s)
		for _, id := range others {
			r := requests[id]
			got := s.Send(t, servertest.Request{Method: r.method, Target: r.target + "?dry_run=true", Body: r.body})
			if want := invalidField("dry_run", "Unknown query parameter 'dry_run'") + "\n"; got.Status != http.StatusBadRequest || got.Body != want {
				t.Errorf("%s: %d %s", id, got.Status, got.Body)
			}
		}
	})
	for _, id := range tried {
		t.Run(id, func(t *testing.T) {
			servertest.Each(t, func(t *testing.T, s *servertest.Server) {
				f := newFixture(t, s)
				withNewEntry(t, s)
				r := requests[id]
				if status := f.compareDryRun(t, r); status >= 300 {
					t.Errorf("the write is answered with %d", status)
				}
				f.compareDryRun(t, r, `If-Match: "x"`)
				f.compareDryRun(t, r) // the second time much is refused, or changes nothing
				r.target = strings.Replace(r.target, "ef1234567890", "ef1234567899", 1)
				f.compareDryRun(t, r) // something that is not there
			})
		})
	}
}

// compareDryRun makes a request first as a dry run. It returns the status of the write.
func (f *fixture) compareDryRun(t *testing.T, r request, header ...string) int {
	t.Helper()
	if strings.HasSuffix(r.target, "/import") {
		header = append(header, "Content-Type: application/x-ndjson")
	}
	before := f.allTables(t)
	object := f.Get(t, r.target)
	if r.method == http.MethodPatch { // not everything that can be patched can be read by itself
		object = f.Patch(t, r.target, "{}")
	}
	dry := f.Send(t, servertest.Request{Method: r.method, Target: r.target + "?dry_run=true", Body: r.body, Header: header})
	if after := f.allTables(t); after != before {
		t.Fatalf("%s: a dry run wrote:\n%s\nbefore:\n%s", r.target, after, before)
	}
	written := f.Send(t, servertest.Request{Method: r.method, Target: r.target, Body: r.body, Header: header})
	known := before + r.target + r.body
	if got, want := withoutGenerated(dry.Body, known), withoutGenerated(written.Body, known); dry.Status != written.Status || got != want {
		t.Errorf("%s %s: the dry run answers %d %s, the write %d %s", r.method, r.target, dry.Status, dry.Body, written.Status, written.Body)
	}
	tag := ""
	if dry.Status == http.StatusOK && written.Header.Get("ETag") != "" {
		tag = object.Header.Get("ETag")
	}
	if got := dry.Header.Get("ETag"); got != tag {
		t.Errorf("%s %s: the dry run has the entity tag %s, the object %s", r.method, r.target, got, tag)
	}
	if dry.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: Cache-Control: %s", r.target, dry.Header.Get("Cache-Control"))
	}
	// A request that is refused before the dry run begins has no Dry-Run header.
	if got, want := dry.Header.Get("Dry-Run"), dry.Status != http.StatusBadRequest || !strings.Contains(dry.Body, "If-Match"); (got == "true") != want {
		t.Errorf("%s: Dry-Run: %q with %s", r.target, got, dry.Body)
	}
	if written.Header.Get("Dry-Run") != "" {
		t.Errorf("%s: the write has Dry-Run", r.target)
	}
	return written.Status
}
