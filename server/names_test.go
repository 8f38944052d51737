package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/server/schemas"
	"github.com/clientapps/clientapps/server/servertest"
)

// nameFields are the writes that take a name, with the field that has it, and what else the body needs.
var nameFields = map[string]struct{ method, target, field, rest string }{
	"createClient":          {"POST", "/v2/clients", "name", ""},
	"updateClient":          {"PATCH", clientPath, "name", ""},
	"createCatalogApp":      {"POST", "/v2/catalog-apps", "canonical_name", ""},
	"updateCatalogApp":      {"PATCH", catalogPath, "canonical_name", ""},
	"createCatalogVendor":   {"POST", "/v2/catalog-vendors", "name", ""},
	"updateCatalogVendor":   {"PATCH", vendorPath, "name", ""},
	"createCatalogCategory": {"POST", "/v2/catalog-categories", "name", ""},
	"updateCatalogCategory": {"PATCH", categoryPath, "name", ""},
	"createToken":           {"POST", "/v2/tokens", "name", `,"scopes":["apps:read"],"all_clients":true`},
}

// TestInvalidNames: names with only white space, white space at the ends, control characters or bidirectional controls get
// 400 with the field's name, raw and escaped, and nothing is written.
func TestInvalidNames(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		f := newFixture(t, s)
		before := f.content(t)
		for operation, n := range nameFields {
			want := invalidField(n.field, n.field+nameRule) + "\n"
			for _, bad := range []string{
				" ", "\u3000", "\u3000\u2003\u00a0", "\u00a0x", "x\u2029", "\u202fx", "\u1680", "x\u205f", "x\u200a",
				"a\u0085b", "a\u009fb", "a\u007fb", "a\u0000b", "\u0085",
				"a\u202eb", "\u202ax", "x\u202c", "a\u2066b", "\u2069", "a\u2028b", "a\u2029b",
				"\u200b", "\u2060\ufeff", "\u00ad", "\u3164", "\ufe0f",
			} {
				for _, spelled := range []string{quote(bad), quoteASCII(bad)} {
					r := servertest.Request{Method: n.method, Target: n.target, Body: `{"` + n.field + `":` + spelled + n.rest + `}`}
					if got := s.Send(t, r); got.Status != http.StatusBadRequest || got.Body != want {
						t.Errorf("%s %q: %d %s", operation, bad, got.Status, got.Body)
					}
				}
			}
		}
		if f.content(t) != before {
			t.Error("something was written")
		}
		for _, good := range []string{"a\u3000b", "a\u00a0b", "\u200fעברית\u200f", "👩\u200d👧", "e\u0301", "\ufeffx", "\u2764\ufe0f", "\u00bf"} {
			r := s.Patch(t, clientPath, `{"name":`+quote(good)+`}`)
			if want := `"name":` + quote(good); r.Status != http.StatusOK || !strings.Contains(r.Body, want) {
				t.Errorf("%q: %d %s", good, r.Status, r.Body)
			}
		}
	})
}

// TestInvalidMatchers: URL patterns and desktop aliases have the same rules, but may have white space at the ends.
func TestInvalidMatchers(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		f := newFixture(t, s)
		for path, field := range map[string]string{"/url-patterns": "patterns", "/desktop-aliases": "aliases"} {
			put := func(text string) *servertest.Response {
				body := `{"` + field + `":["x",` + quote(text) + `]}`
				return s.Send(t, servertest.Request{Method: http.MethodPut, Target: catalogPath + path, Body: body})
			}
			before := f.content(t)
			most := map[string]string{"patterns": "400", "aliases": "200"}[field]
			want := invalidField(field, field+"[1] must be 1 to "+most+" characters long, one of them visible, without control characters or changes of direction") + "\n"
			for _, bad := range []string{" ", "\u3000\u00a0", "\u200b", "a\tb", "a\u0085b", "a\u202eb", "\u2066", "a\u2028b"} {
				if got := put(bad); got.Status != http.StatusBadRequest || got.Body != want {
					t.Errorf("%s %+q: %d %s", path, bad, got.Status, got.Body)
				}
			}
			if f.content(t) != before {
				t.Error("something was written")
			}
			for _, good := range []string{" a", "a\u3000", "a\u00a0b", "a\u200fb"} {
				if got := put(good); got.Status != http.StatusNoContent || !strings.Contains(s.Get(t, catalogPath+path).Body, quote(good)) {
					t.Errorf("%s %+q: %d %s", path, good, got.Status, got.Body)
				}
			}
		}
	})
}

// Every name in a request body has the format "name".
func TestNamesHaveTheirFormat(t *testing.T) {
	t.Parallel()
	doc, err := schemas.Contract()
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			if op.RequestBody == nil || op.RequestBody.Value.Content["application/json"] == nil {
				continue
			}
			for name, property := range op.RequestBody.Value.Content["application/json"].Schema.Value.Properties {
				if name != "name" && !strings.HasSuffix(name, "_name") {
					continue
				}
				if found++; property.Value.Format != "name" || nameFields[op.OperationID].field != name {
					t.Errorf("%s of %s has the format %q, or is missing in nameFields", name, op.OperationID, property.Value.Format)
				}
			}
		}
	}
	if found != len(nameFields) {
		t.Errorf("%d names, want %d", found, len(nameFields))
	}
}

// quoteASCII encodes a text as JSON with every character outside ASCII escaped.
func quoteASCII(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r < ' ' || r > '~' {
			b.WriteString(`\u` + string("0123456789abcdef"[r>>12&15]) + string("0123456789abcdef"[r>>8&15]) +
				string("0123456789abcdef"[r>>4&15]) + string("0123456789abcdef"[r&15]))
			continue
		}
		b.WriteRune(r)
	}
	return `"` + b.String() + `"`
}

// TestUnicodeNormalizationOfNames: names that differ only in Unicode normalization are equal for uniqueness and search, and are
// stored as they were sent.
func TestUnicodeNormalizationOfNames(t *testing.T) {
	t.Parallel()
	const composed, decomposed = "Café Å", "CAFE\u0301 A\u030a"
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		for path, field := range map[string]string{
			"/v2/catalog-apps": "canonical_name", "/v2/catalog-vendors": "name", "/v2/catalog-categories": "name",
		} {
			post := func(name string) *servertest.Response {
				return s.Send(t, servertest.Request{Method: http.MethodPost, Target: path, Body: `{"` + field + `":` + quote(name) + `}`})
			}
			if got := post(decomposed); got.Status != http.StatusCreated || !strings.Contains(got.Body, quote(decomposed)) {
				t.Errorf("%s: %d %s", path, got.Status, got.Body)
			}
			for _, again := range []string{composed, decomposed, strings.ToLower(composed), "cafe\u0301 \u212b"} {
				if got := post(again); got.Status != http.StatusConflict {
					t.Errorf("%s %q: %d %s", path, again, got.Status, got.Body)
				}
			}
			for _, q := range []string{"café", "cafe\u0301", "É A\u030a"} {
				if got := s.Get(t, path+"?q="+url.QueryEscape(q)); !strings.Contains(got.Body, `"total_count":1`) {
					t.Errorf("%s?q=%q: %s", path, q, got.Body)
				}
			}
		}
	})
}
