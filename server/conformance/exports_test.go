package conformance

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/server/servertest"
)

var disposition = regexp.MustCompile(`^attachment; filename="[0-9a-z-]+\.(csv|ndjson)"$`)

// checkExport checks an export: it has the rows of the list, in its order and by its filters, in either format, and an import of it changes
// nothing.
func (f *fixture) checkExport(t *testing.T, op *Operation) {
	t.Helper()
	target := op.Target(nil)
	for _, accept := range []string{"application/x-ndjson", "text/csv"} {
		get := f.export(t, target, accept)
		if file := disposition.FindStringSubmatch(get.Header.Get("Content-Disposition")); file == nil || !strings.HasSuffix(accept, file[1]) {
			t.Errorf("%s: Content-Disposition: %s", op.ID, get.Header.Get("Content-Disposition"))
		}
		head := f.Send(t, servertest.Request{Method: "HEAD", Target: target, Header: []string{"Accept: " + accept}})
		for _, name := range []string{"Content-Type", "Content-Disposition"} {
			if head.Status != 200 || head.Header.Get(name) != get.Header.Get(name) || head.Body != "" {
				t.Errorf("%s: HEAD: %d %v %s", op.ID, head.Status, head.Header, head.Body)
			}
		}
		wanted := fmt.Sprintf(`{"created":0,"updated":0,"unchanged":%d}`+"\n", len(names(t, get)))
		in := strings.TrimSuffix(target, "export") + "import"
		r := f.Send(t, servertest.Request{Method: "POST", Target: in, Body: get.Body, Header: []string{"Content-Type: " + accept}})
		if r.Status != 200 || r.Body != wanted {
			t.Errorf("%s: its import answers %d %s, want %s", op.ID, r.Status, r.Body, wanted)
		}
	}
	for accept, status := range map[string]int{
		"application/json": 406, "application/json, */*;q=0.1": 200, "*/*": 200, "text/*": 200, "text/csv;q=0, application/x-ndjson;q=0": 406,
	} {
		r := f.Send(t, servertest.Request{Method: "GET", Target: target, Header: []string{"Accept: " + accept}})
		f.expect(t, r, status, op.ID+" Accept: "+accept)
	}
	for _, query := range []string{"page_size=1", "cursor=x"} {
		f.expect(t, f.Get(t, target+"?"+query), 400, op.ID+" "+query)
	}
	list := strings.TrimSuffix(target, "/export")
	for _, query := range exportQueries(op) {
		page, _ := f.page(t, list+"?page_size=500&"+query)
		var want []string
		for _, row := range page.Data {
			want = append(want, nameOf(t, row))
		}
		for _, accept := range []string{"application/x-ndjson", "text/csv"} {
			if got := names(t, f.export(t, target+"?"+query, accept)); !slices.Equal(got, want) {
				t.Errorf("%s %s as %s has %q, the list %q", op.ID, query, accept, got, want)
			}
		}
	}
}

// exportQueries returns orders and filters.
func exportQueries(op *Operation) []string {
	queries := []string{"", "q=spare"}
	for _, column := range op.Param("sort_by").Schema.Value.Enum {
		queries = append(queries, fmt.Sprintf("sort_by=%s&sort_order=asc", column), fmt.Sprintf("sort_by=%s&sort_order=desc", column))
	}
	for _, p := range op.Params {
		switch {
		case p.In == "query" && p.Schema.Value.Type.Is("boolean"):
			queries = append(queries, p.Name+"=true", p.Name+"=false")
		case strings.HasSuffix(p.Name, "_id") && p.In == "query", p.Name == "type":
			queries = append(queries, p.Name+"="+exampleOf(p))
		}
	}
	return queries
}

func (f *fixture) export(t *testing.T, target, accept string) *servertest.Response {
	t.Helper()
	r := f.Send(t, servertest.Request{Method: "GET", Target: target, Header: []string{"Accept: " + accept}})
	if r.Status != 200 || r.Header.Get("Content-Type") != accept {
		t.Errorf("GET %s as %s: %d %v", target, accept, r.Status, r.Header)
	}
	return r
}

// names returns the names in an export.
func names(t *testing.T, r *servertest.Response) (all []string) {
	t.Helper()
	if r.Header.Get("Content-Type") == "text/csv" {
		rows, err := csv.NewReader(strings.NewReader(r.Body)).ReadAll()
		if err != nil || len(rows) == 0 || rows[0][0] != "canonical_name" {
			t.Errorf("%v: %s", err, r.Body)
			return nil
		}
		for _, row := range rows[1:] {
			all = append(all, row[0])
		}
		return all
	}
	for line := range strings.Lines(r.Body) {
		all = append(all, nameOf(t, json.RawMessage(line)))
	}
	return all
}

// nameOf returns the name of the catalog app of a row or an app.
func nameOf(t *testing.T, row json.RawMessage) string {
	t.Helper()
	var app struct {
		Name    string `json:"canonical_name"`
		Catalog struct {
			Name string `json:"canonical_name"`
		} `json:"catalog_app"`
	}
	if err := json.Unmarshal(row, &app); err != nil || app.Name+app.Catalog.Name == "" {
		t.Errorf("%s: %v", row, err)
	}
	return app.Name + app.Catalog.Name
}
