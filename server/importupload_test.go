package server_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/rowfile"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// rowErrors is the error of an import.
type rowErrors struct {
	Error struct {
		Code, Message string
		Details       struct {
			Field  *string
			Errors []struct {
				Line                    int
				Field, Pointer, Message string
			}
		}
	}
}

// TestImportRefusals has files with wrong rows. Each error has its line, and nothing is written.
func TestImportRefusals(t *testing.T) {
	t.Parallel()
	const (
		noText = "description must be UTF-8 text without noncharacters"
		long   = "the row is longer than 1048576 bytes"
	)
	many := strings.Repeat("{}\n", 250)
	cases := []struct {
		target string
		format rowfile.Format
		file   string
		want   []string // line, field and message
		total  int
	}{
		{importAppsPath, rowfile.CSV, "", []string{"1  the names of the columns are missing"}, 1},
		{importAppsPath, rowfile.CSV, "canonical_name,x/y~\n", []string{
			`1 x/y~ unknown column "x/y~"; known columns are canonical_name, is_approved, is_favorite, license_count`,
		}, 1},
		{importAppsPath, rowfile.CSV, "license_count\n", []string{"1 canonical_name the column canonical_name is missing"}, 1},
		{
			importAppsPath, rowfile.CSV, "canonical_name,license_count\nSlack,x\n\nslack,\nSlack\n\"a\"b,\nNone,-1\n", []string{
				"2 license_count license_count must be an integer or null", `4 canonical_name canonical_name "slack" is on line 2 already`,
				"5  the row has 1 cells, want 2", "6  the row has a quote in the wrong place",
				"7 license_count license_count must be between 0 and 2147483647", `7 canonical_name canonical_name "None" is not in the catalog`,
			}, 6,
		},
		{importAppsPath, rowfile.NDJSON, `{"canonical_name":"Slack"}` + "\n[]\n{\n" + `{"canonical_name":"Slack","x":1}`, []string{
			"2  the row must be a JSON object", "3  the row is not valid JSON at byte 2", "4 x Unknown field 'x'",
			`4 canonical_name canonical_name "Slack" is on line 1 already`,
		}, 4},
		{importCatalogPath, rowfile.NDJSON, many, []string{"1 canonical_name canonical_name is required"}, 100},
		{importCatalogPath, rowfile.CSV, "canonical_name,description\nA,a\xff\nB,\"a\x00\"\n", []string{"2 description " + noText}, 2},
		{importCatalogPath, rowfile.NDJSON, `{"canonical_name":"` + strings.Repeat("A", 2<<20) + "\"}\n{}\n", []string{
			"1  " + long, "2 canonical_name canonical_name is required",
		}, 2},
		{importCatalogPath, rowfile.CSV, "canonical_name\n\"A\n" + strings.Repeat("0123456789,\n", 200_000), []string{
			"2  " + long + ": is a closing quote missing?",
		}, 1},
		{importCatalogPath, rowfile.NDJSON, `{"canonical_name":"A","vendor":"V","vendor_url":"https://a.example"}` + "\n" +
			`{"canonical_name":"B","vendor":"v","vendor_url":null}` + "\n" + `{"canonical_name":"C","vendor_url":"https://c.example"}`, []string{
			"2 vendor_url vendor_url is not the one that line 1 gives the same vendor", "3 vendor_url vendor_url needs a vendor",
		}, 2},
	}
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		f := newFixture(t, s)
		before := f.content(t)
		for _, c := range cases {
			got := importFile(t, s.Client, c.target, c.format, c.file)
			if c.file == "" { // which the client sends without a type
				got = s.Send(t, servertest.Request{Method: "POST", Target: c.target, Header: []string{"Content-Type: text/csv"}})
			}
			var e rowErrors
			if err := json.Unmarshal([]byte(got.Body), &e); err != nil {
				t.Fatal(err)
			}
			found := e.Error.Details.Errors
			if got.Status != http.StatusBadRequest || e.Error.Code != "invalid_request" || len(found) != c.total {
				t.Errorf("%.60q: %d with %d errors: %.300s", c.file, got.Status, len(found), got.Body)
				continue
			}
			for i, want := range c.want {
				row := found[i]
				if text := fmt.Sprintf("%d %s %s", row.Line, row.Field, row.Message); text != want {
					t.Errorf("%.60q: error %d is %q, want %q", c.file, i, text, want)
				}
				pointer := strings.NewReplacer("~", "~0", "/", "~1").Replace(row.Field)
				if pointer != "" {
					pointer = "/" + pointer
				}
				if row.Pointer != pointer {
					t.Errorf("%.60q: the pointer of %q is %q", c.file, row.Field, row.Pointer)
				}
			}
			first, field := found[0], e.Error.Details.Field
			if e.Error.Message != fmt.Sprintf("line %d: %s", first.Line, first.Message) ||
				(field == nil) != (first.Field == "") || field != nil && *field != first.Field {
				t.Errorf("%.60q: the error is not that of its first row: %.300s", c.file, got.Body)
			}
		}
		if after := f.content(t); after != before {
			t.Errorf("a refused import wrote:\n%s\nbefore:\n%s", after, before)
		}
		problem := s.Send(t, servertest.Request{
			Method: "POST", Target: importAppsPath, Header: []string{"Content-Type: text/csv", "Accept: application/problem+json"}, Body: "canonical_name\nNone\n",
		})
		if problem.Status != http.StatusBadRequest || !strings.Contains(problem.Body, `"errors":[{"line":2,"field":"canonical_name",`) {
			t.Errorf("as problem details: %d %s", problem.Status, problem.Body)
		}
		wantImported(t, s.Send(t, servertest.Request{Method: "POST", Target: importAppsPath, Header: []string{"Content-Type: application/x-ndjson"}}), 0, 0, 0)
		wantImported(t, importFile(t, s.Client, importAppsPath, rowfile.CSV, "canonical_name\n"), 0, 0, 0)
		// The client gets its answer although it is still sending.
		large := strings.Repeat("x", 20<<20)
		if got := importFile(t, s.Client, strings.Replace(importAppsPath, clientID, nilID, 1), rowfile.CSV, large); got.Status != http.StatusNotFound {
			t.Errorf("of no client: %d %s", got.Status, got.Body)
		}
		withFormerClient(t, s)
		if got := importFile(t, s.Client, strings.Replace(importAppsPath, clientID, formerClient, 1), rowfile.CSV, "x"); got.Status != http.StatusConflict {
			t.Errorf("of a suspended client: %d %s", got.Status, got.Body)
		}
	})
}

// TestImport sets fields by the three states of a cell, with the types in every spelling, and tries all of it before.
func TestImport(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		f := newFixture(t, s)
		wantImported(t, importFile(t, s.Client, importCatalogPath, rowfile.CSV, "canonical_name\nZoom\nJira\n"), 2, 0, 0)
		const file = "license_count,canonical_name,is_favorite\r\n'7,sLACK,TRUE\r\n,Zoom,false\r\n"
		const exported = "canonical_name,is_favorite,is_approved,license_count\nSlack,true,false,7\nZoom,false,false,\n"
		before := f.content(t)
		for _, target := range []string{importAppsPath + "?dry_run=true", importAppsPath + "?dry_run=false"} {
			dry := strings.HasSuffix(target, "true")
			got := s.Send(t, servertest.Request{Method: "POST", Target: target, Header: []string{"Content-Type: TEXT/csv; charset=utf-8; header=present"}, Body: file})
			wantImported(t, got, 1, 1, 0)
			if (got.Header.Get("Dry-Run") == "true") != dry || (f.content(t) == before) != dry || got.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %v", target, got.Header)
			}
		}
		if got := exportFile(t, s.Client, exportAppsPath, rowfile.CSV); got != exported {
			t.Errorf("the apps are\n%s", got)
		}
		// A column that is absent keeps its field, an empty cell clears it.
		wantImported(t, importFile(t, s.Client, importAppsPath, rowfile.CSV, "canonical_name,license_count\nSlack,\n"), 0, 1, 0)
		wantImported(t, importFile(t, s.Client, importAppsPath, rowfile.NDJSON, `{"canonical_name":"Zoom","is_approved":true}`), 0, 1, 0)
		want := strings.NewReplacer("false,7", "false,", "Zoom,false,false", "Zoom,false,true").Replace(exported)
		if got := exportFile(t, s.Client, exportAppsPath, rowfile.CSV); got != want {
			t.Errorf("the apps are\n%s", got)
		}
		const actors = "SELECT DISTINCT actor_name FROM app_changes WHERE field = 'license_count'"
		if rows := f.rows(t, actors); len(rows) != 1 || rows[0]["actor_name"] != "everything" {
			t.Errorf("the changes are by %v", rows)
		}
	})
}

// begin opens a connection and sends the beginning of an import of the catalog.
func begin(t *testing.T, as *servertest.Client, header, body string) *net.TCPConn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(as.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	const request = "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/x-ndjson\r\n%s\r\n\r\n%s"
	_, err = fmt.Fprintf(conn, request, importCatalogPath, as.Token, header, body)
	if err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// answerOf reads an answer: its status, and the message of an error.
func answerOf(t *testing.T, conn net.Conn) string {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var e servertest.Error
	if err := json.Unmarshal(body, &e); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return strings.TrimSpace(response.Status[:3] + " " + e.Error.Message)
}

// TestHalfAnImport sends files that do not end, end early, are too large or too slow: nothing of them is written.
func TestHalfAnImport(t *testing.T) {
	t.Parallel()
	const (
		chunked = "Transfer-Encoding: chunked"
		row     = `{"canonical_name":"New"}` + "\n"
		broken  = "400 Request body could not be read"
		large   = "413 Request body must not be larger than 67108864 bytes"
	)
	chunk := fmt.Sprintf("%x\r\n%s\r\n", len(row), row)
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		f := newFixture(t, s)
		before := f.content(t)
		for name, c := range map[string]struct{ header, body, want string }{
			"shorter than it says":  {"Content-Length: 1000", row, broken},
			"without a last chunk":  {chunked, chunk, broken},
			"a malformed chunk":     {chunked, chunk + "x\r\n", broken},
			"larger than it may be": {"Content-Length: 67108865", "", large},
		} {
			conn := begin(t, s.Client, c.header, c.body)
			if err := conn.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if got := answerOf(t, conn); got != c.want {
				t.Errorf("%s: %s", name, got)
			}
		}
		// Blank lines, so that only the size can be wrong.
		blank := strings.Repeat(strings.Repeat(" ", 32<<10-1)+"\n", 2<<10)
		for _, path := range []string{importCatalogPath, importAppsPath} {
			got := s.Send(t, servertest.Request{Method: "POST", Target: path, Body: row + blank, Chunked: true})
			if got.Status != http.StatusRequestEntityTooLarge {
				t.Errorf("a large file in chunks: %d %s", got.Status, got.Body)
			}
		}
		// A client that goes in the middle.
		requests := len(s.Log.Requests(t))
		_ = begin(t, s.Client, "Content-Length: 1000", row).Close()
		eventually(t, func() bool { return len(s.Log.Requests(t)) > requests })
		// One that begins and does not go on.
		slow := servertest.New(t, s.DatabaseURL, func(c *server.Config) { c.UploadTimeout = 200 * time.Millisecond })
		if got := answerOf(t, begin(t, slow.Client, "Content-Length: 1000", row)); got != "400 Request body did not arrive in time" {
			t.Errorf("a file that does not come: %s", got)
		}
		if after := f.rows(t, "SELECT * FROM catalog_apps"); len(after) != 1 || !strings.Contains(before, after[0].String()) {
			t.Errorf("half an import wrote %v", after)
		}
	})
}

// TestLateErrorWritesNothing has a wrong byte near the end of a large file.
func TestLateErrorWritesNothing(t *testing.T) {
	t.Parallel()
	var file strings.Builder
	for line := 1; line <= 100_000; line++ {
		name := fmt.Sprintf("App %d", line)
		if line == 99_999 {
			name += "\xff"
		}
		fmt.Fprintf(&file, "{\"canonical_name\":\"%s\"}\n", name)
	}
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		f := newFixture(t, s)
		before := f.content(t)
		got := importFile(t, s.Client, importCatalogPath, rowfile.NDJSON, file.String())
		if got.Status != http.StatusBadRequest || !strings.Contains(got.Body, `"line 99999: the row is not valid UTF-8"`) {
			t.Errorf("%d %s", got.Status, got.Body)
		}
		if f.content(t) != before {
			t.Error("the rows before the wrong one were written")
		}
	})
}

// TestImportsAtOnce runs two imports of the same apps at once. One is after the other: the apps are as one of them says.
func TestImportsAtOnce(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		catalog, _, rows := hostileCatalog(t)
		wantImported(t, importFile(t, s.Client, importCatalogPath, rowfile.NDJSON, catalog), rows, 0, 0)
		names := exportFile(t, s.Client, exportCatalogPath, rowfile.NDJSON)
		var all sync.WaitGroup
		for licenses := range 2 {
			all.Go(func() {
				var file strings.Builder
				for line := range strings.Lines(names) {
					name, _, _ := strings.Cut(line, `,"description"`)
					fmt.Fprintf(&file, "%s,\"license_count\":%d}\n", name, licenses)
				}
				if got := importFile(t, s.Client, importAppsPath, rowfile.NDJSON, file.String()); got.Status != http.StatusOK {
					t.Errorf("%d %s", got.Status, got.Body)
				}
			})
		}
		all.Wait()
		file := exportFile(t, s.Client, exportAppsPath, rowfile.CSV)
		zero, one := strings.Count(file, ",0\n"), strings.Count(file, ",1\n")
		if max(zero, one) != rows+1 || min(zero, one) != 0 {
			t.Errorf("%d apps are as one import says, and %d as the other", zero, one)
		}
	})
}

// TestMaxTransfers fills the places for exports and imports. Other requests have places of their own.
func TestMaxTransfers(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		registry := prometheus.NewRegistry()
		s := servertest.New(t, url, withMetrics(registry))
		second, third := newTokenClient(t, s), newTokenClient(t, s)
		var open []*net.TCPConn
		hold := func(as *servertest.Client) {
			t.Helper()
			conn := begin(t, as, "Content-Length: 26\r\nExpect: 100-continue", "")
			if _, err := io.ReadFull(conn, make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))); err != nil {
				t.Fatal(err)
			}
			open = append(open, conn)
		}
		full := func(as *servertest.Client) {
			t.Helper()
			for _, r := range []request{requests["exportApps"], requests["importApps"]} {
				got := as.Send(t, servertest.Request{Method: r.method, Target: r.target, Body: r.body})
				if got.Status != http.StatusServiceUnavailable || got.Body != unavailable+"\n" || got.Header.Get("Retry-After") != "1" {
					t.Errorf("%s: %d %s", r.target, got.Status, got.Body)
				}
			}
		}
		hold(s.Client)
		hold(s.Client)
		full(s.Client)
		hold(second)
		hold(second)
		full(third)
		for _, as := range []*servertest.Client{s.Client, second, third} {
			if got := as.Get(t, appPath); got.Status != http.StatusOK {
				t.Errorf("%d %s", got.Status, got.Body)
			}
		}
		for _, conn := range open {
			if _, err := io.WriteString(conn, `{"canonical_name":"Slack"}`); err != nil {
				t.Fatal(err)
			}
			if got := answerOf(t, conn); got != "200" {
				t.Error(got)
			}
		}
		if got := third.Get(t, exportAppsPath); got.Status != http.StatusOK {
			t.Errorf("with a place: %d %s", got.Status, got.Body)
		}
		s.Server.Handle("/locks", func(echo.Context) error { return &store.ImportTimeError{Limit: time.Minute} })
		if got := s.Get(t, "/locks"); got.Status != http.StatusServiceUnavailable || got.Header.Get("Retry-After") != "1" {
			t.Errorf("an import that took too long: %d %v", got.Status, got.Header)
		}
		wantCauses(t, s, registry, "transfers", "token_transfers", "import")
	})
}
