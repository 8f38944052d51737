package server_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/server/rowfile"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

const (
	exportAppsPath    = clientPath + "/apps/export"
	importAppsPath    = clientPath + "/apps/import"
	exportCatalogPath = "/v2/catalog-apps/export"
	importCatalogPath = "/v2/catalog-apps/import"
)

var fileFormats = []rowfile.Format{rowfile.CSV, rowfile.NDJSON}

// exportFile returns an export in this format.
func exportFile(t *testing.T, as *servertest.Client, target string, f rowfile.Format) string {
	t.Helper()
	got := as.Send(t, servertest.Request{Method: http.MethodGet, Target: target, Header: []string{"Accept: " + f.MediaType()}})
	if got.Status != http.StatusOK || got.Header.Get("Content-Type") != f.MediaType() {
		t.Fatalf("%s as %s: %d %v %s", target, f, got.Status, got.Header, got.Body)
	}
	return got.Body
}

// importFile sends a file.
func importFile(t *testing.T, as *servertest.Client, target string, f rowfile.Format, file string) *servertest.Response {
	t.Helper()
	return as.Send(t, servertest.Request{Method: http.MethodPost, Target: target, Header: []string{"Content-Type: " + f.MediaType()}, Body: file})
}

// wantImported checks the counts of an import.
func wantImported(t *testing.T, got *servertest.Response, created, updated, unchanged int) {
	t.Helper()
	want := fmt.Sprintf(`{"created":%d,"updated":%d,"unchanged":%d}`+"\n", created, updated, unchanged)
	if got.Status != http.StatusOK || got.Body != want {
		t.Fatalf("the import: %d %s, want %s", got.Status, got.Body, want)
	}
}

// hostile is what names begin with that are valid and that spreadsheets, CSV or readers may take for something else.
var hostile = []string{
	"=1+2", "+1", "-1", "@SUM(A1)", "'a", "''", "\"", "\"\"b\"", "a;b", ";", "[", "[\"a\"]", "a]", ",", "a,b", "\\N", "\\.", "null", "TRUE",
	"\ufeffmark", "\u200fעברית", "العربية", "👩🏽\u200d🚀", "Cafe\u0301", "Caf\u00e9 c", "ΣΊΣΥΦΟΣ", "<b>&amp;", "#REF!", "%00", "${x}",
}

// descriptions are texts of a catalog app.
var descriptions = []any{
	nil, "", "'", "\t=1", "\rx", "\n", "\r\n", "a\r\nb", "\r\r\n\n", "a\r", "\r\"", "\"\r\n\"", "\"\"\r", " ends ", "\u202eabc", "\u2028", "=\r\n+",
	"\ufeff", "\ufffd", "[\"a\"]", "a,\r\n\"b\",\r\n", "{}", "\x01\x7f",
}

// hostileCatalog returns a file of a catalog with hostile names and texts, and one with apps for all of them.
func hostileCatalog(t *testing.T) (catalog, apps string, rows int) {
	t.Helper()
	random := rand.New(rand.NewPCG(7, 8))
	some := func(most int) (picked []string) {
		for _, i := range random.Perm(len(hostile))[:random.IntN(most+1)] {
			picked = append(picked, hostile[i])
		}
		return picked
	}
	var catalogFile, appFile bytes.Buffer
	entries, own := bufio.NewWriter(&catalogFile), bufio.NewWriter(&appFile)
	catalogWriter, appWriter := rowfile.NewCatalogWriter(entries, rowfile.NDJSON), rowfile.NewAppWriter(own, rowfile.NDJSON)
	for round := range 20 {
		for i, name := range hostile {
			rows++
			row := store.CatalogRow{
				Fields: store.Fields{
					store.ColumnCanonicalName: fmt.Sprintf("%s%d", name, round), store.ColumnDescription: descriptions[random.IntN(len(descriptions))],
				},
				Vendor: store.Fields{}, Categories: some(3), URLPatterns: some(6), DesktopAliases: some(6),
			}
			if vendor := random.IntN(2 * len(hostile)); vendor < len(hostile) {
				row.Vendor[store.ColumnName] = hostile[vendor]
				if vendor%2 == 0 {
					row.Vendor[store.ColumnURL] = fmt.Sprintf("https://example.com/%d?a=1;b", vendor)
				}
			}
			app := store.AppRow{Name: row.Fields[store.ColumnCanonicalName].(string), Fields: store.Fields{
				store.ColumnIsFavorite: i%2 == 0, store.ColumnIsApproved: i%3 == 0, store.ColumnLicenseCount: []any{nil, 0, 2147483647}[i%3],
			}}
			if err := catalogWriter.Write(row); err != nil {
				t.Fatal(err)
			}
			if err := appWriter.Write(app); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := entries.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := own.Flush(); err != nil {
		t.Fatal(err)
	}
	return catalogFile.String(), appFile.String(), rows
}

// TestExportThenImport imports what was exported: nothing changes, and another server has the same afterwards, byte by byte.
func TestExportThenImport(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		f := newFixture(t, s)
		catalog, apps, rows := hostileCatalog(t)
		wantImported(t, importFile(t, s.Client, importCatalogPath, rowfile.NDJSON, catalog), rows, 0, 0)
		wantImported(t, importFile(t, s.Client, importAppsPath, rowfile.NDJSON, apps), rows, 0, 0)
		before := f.content(t)
		other := servertest.New(t, storetest.SQLite(t))
		for i, format := range fileFormats {
			catalog := exportFile(t, s.Client, exportCatalogPath, format)
			apps := exportFile(t, s.Client, exportAppsPath, format)
			wantImported(t, importFile(t, s.Client, importCatalogPath, format, catalog), 0, 0, rows+1) // and that of the page
			wantImported(t, importFile(t, s.Client, importAppsPath, format, apps), 0, 0, rows+1)
			if after := f.content(t); after != before {
				t.Fatalf("importing an export as %s has changed something", format)
			}
			made := []int{rows, 0, 1}
			if i > 0 {
				made = []int{0, 0, rows + 1}
			}
			wantImported(t, importFile(t, other.Client, importCatalogPath, format, catalog), made[0], made[1], made[2])
			wantImported(t, importFile(t, other.Client, importAppsPath, format, apps), made[0], made[1], made[2])
			for _, again := range fileFormats {
				if a, b := exportFile(t, s.Client, exportCatalogPath, again), exportFile(t, other.Client, exportCatalogPath, again); a != b {
					t.Errorf("from a catalog as %s another server has one that differs as %s", format, again)
				}
				if a, b := exportFile(t, s.Client, exportAppsPath, again), exportFile(t, other.Client, exportAppsPath, again); a != b {
					t.Errorf("from apps as %s another server has some that differ as %s", format, again)
				}
			}
		}
	})
}

// TestExportIsTheList compares exports with the pages of the list, with each filter and in each order.
func TestExportIsTheList(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		catalog, apps, rows := hostileCatalog(t)
		wantImported(t, importFile(t, s.Client, importCatalogPath, rowfile.NDJSON, catalog), rows, 0, 0)
		wantImported(t, importFile(t, s.Client, importAppsPath, rowfile.NDJSON, apps), rows, 0, 0)
		vendor := s.Get(t, "/v2/catalog-vendors?q=mark").Body
		categories := s.Get(t, "/v2/catalog-categories?q=mark").Body
		first := func(list string) string {
			_, rest, _ := strings.Cut(list, `"id":"`)
			id, _, _ := strings.Cut(rest, `"`)
			return id
		}
		queries := []string{
			"", "sort_order=desc", "sort_by=updated_at", "sort_by=created_at&sort_order=desc", "q=a", "q=%3B1", "type=desktop", "vendor_id=" + first(vendor),
			"category_id=" + first(categories), "category_id=" + first(categories) + "&q=1&sort_by=updated_at", "q=nothing", "vendor_id=" + nilID,
		}
		for _, query := range queries {
			wantListed(t, s.Client, "/v2/catalog-apps", query)
		}
		for _, query := range append(queries, "is_favorite=true", "is_approved=false&q=2", "is_favorite=false&is_approved=true&sort_order=desc") {
			wantListed(t, s.Client, clientPath+"/apps", query)
		}
	})
}

// wantListed compares the names of an export with those of a list.
func wantListed(t *testing.T, as *servertest.Client, path, query string) {
	t.Helper()
	var listed, exported []string
	target := path + "?page_size=200&" + query
	for target != "" {
		var page struct {
			Data []struct {
				Name    string `json:"canonical_name"`
				Catalog *struct {
					Name string `json:"canonical_name"`
				} `json:"catalog_app"`
			}
			Next *string `json:"next_cursor"`
		}
		got := as.Get(t, target)
		if err := json.Unmarshal([]byte(got.Body), &page); err != nil || got.Status != http.StatusOK {
			t.Fatalf("%s: %d %v", target, got.Status, err)
		}
		for _, row := range page.Data {
			if row.Catalog != nil {
				row.Name = row.Catalog.Name
			}
			listed = append(listed, row.Name)
		}
		if target = ""; page.Next != nil {
			target = path + "?page_size=200&" + query + "&cursor=" + *page.Next
		}
	}
	for line := range strings.Lines(exportFile(t, as, path+"/export?"+query, rowfile.NDJSON)) {
		var row struct {
			Name string `json:"canonical_name"`
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		exported = append(exported, row.Name)
	}
	if !slices.Equal(listed, exported) {
		t.Errorf("%s?%s: the export has %d names and the list %d, or other ones", path, query, len(exported), len(listed))
	}
}

// TestExportAnswers has what exports answer beside the rows.
func TestExportAnswers(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		const (
			csv    = "canonical_name,is_favorite,is_approved,license_count\nSlack,false,false,\n"
			ndjson = `{"canonical_name":"Slack","is_favorite":false,"is_approved":false,"license_count":null}` + "\n"
		)
		for accept, want := range map[string]string{
			"":                                       ndjson,
			"*/*":                                    ndjson,
			"text/csv":                               csv,
			"TEXT/CSV; header=present":               csv,
			"text/*":                                 csv,
			"application/*":                          ndjson,
			"application/x-ndjson":                   ndjson,
			"text/csv, application/x-ndjson":         ndjson,
			"application/x-ndjson;q=0.5, text/csv":   csv,
			"text/csv;q=0.5, */*;q=0.4":              csv,
			"text/csv;q=0.2, */*;q=0.4":              ndjson,
			"text/csv;q=0, */*":                      ndjson,
			"application/x-ndjson;q=0, */*;q=0.1":    csv,
			"text/csv, */*":                          csv, // the more specific
			"text/html, application/xml, */*;q=0.8":  ndjson,
			"text/csv;q=0.5, application/json;q=0.9": csv,
			"application/problem+json":               ndjson, // which is about errors
			"application/problem+json, text/csv":     csv,
		} {
			got := s.Send(t, servertest.Request{Method: http.MethodGet, Target: exportAppsPath, Header: []string{"Accept: " + accept}})
			if got.Status != http.StatusOK || got.Body != want || !slices.Contains(got.Header.Values("Vary"), "Accept") {
				t.Errorf("Accept: %s answers %d %v %s", accept, got.Status, got.Header, got.Body)
			}
		}
		for _, accept := range []string{"text/html", "application/json", "text/csv;q=0", "*/*;q=0"} {
			got := s.Send(t, servertest.Request{Method: http.MethodGet, Target: exportAppsPath, Header: []string{"Accept: " + accept}})
			if got.Status != http.StatusNotAcceptable {
				t.Errorf("Accept: %s answers %d", accept, got.Status)
			}
		}
		for target, name := range map[string]string{exportAppsPath: "apps-" + clientID, exportCatalogPath: "catalog"} {
			for _, format := range fileFormats {
				for _, method := range []string{http.MethodGet, http.MethodHead} {
					got := s.Send(t, servertest.Request{Method: method, Target: target, Header: []string{"Accept: " + format.MediaType(), "If-None-Match: *"}})
					want := fmt.Sprintf(`attachment; filename="%s.%s"`, name, format)
					h := got.Header
					if got.Status != http.StatusOK || h.Get("Content-Disposition") != want || h.Get("Content-Type") != format.MediaType() ||
						h.Get("Cache-Control") != "no-store" || h.Get("ETag") != "" || (got.Body == "") != (method == http.MethodHead) {
						t.Errorf("%s %s: %d %v %s", method, target, got.Status, h, got.Body)
					}
				}
			}
		}
		empty := s.Get(t, exportAppsPath+"?q=nothing")
		if empty.Status != http.StatusOK || empty.Body != "" {
			t.Errorf("without rows: %d %s", empty.Status, empty.Body)
		}
		if got := exportFile(t, s.Client, exportAppsPath+"?q=nothing", rowfile.CSV); got != "canonical_name,is_favorite,is_approved,license_count\n" {
			t.Errorf("without rows: %s", got)
		}
		for _, query := range []string{"page_size=1", "cursor=x"} {
			for _, target := range []string{exportAppsPath, exportCatalogPath} {
				name, _, _ := strings.Cut(query, "=")
				if got := s.Get(t, target+"?"+query); got.Status != http.StatusBadRequest ||
					got.Body != invalidField(name, "Unknown query parameter '"+name+"'")+"\n" {
					t.Errorf("%s?%s: %d %s", target, query, got.Status, got.Body)
				}
			}
		}
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			got := s.Send(t, servertest.Request{Method: method, Target: strings.Replace(exportAppsPath, clientID, nilID, 1)})
			if got.Status != http.StatusNotFound {
				t.Errorf("%s of no client: %d %s", method, got.Status, got.Body)
			}
		}
	})
}
