package server_test

import (
	"bytes"
	"compress/gzip"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/server/rowfile"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// largeCatalog makes a catalog whose export is larger than what the buffers of two sockets take: 16 MB, in few rows. The last app has a
// URL pattern.
func largeCatalog(t *testing.T, s *servertest.Server) {
	t.Helper()
	var large store.Dataset
	description := strings.Repeat("\U0001f642", 1990)
	for i := range 1999 {
		large.CatalogApps = append(large.CatalogApps, store.CatalogApp{
			ID: uuid.New(), CanonicalName: fmt.Sprintf("App %04d", i), Description: &description,
		})
	}
	if err := s.Store.Seed(t.Context(), large); err != nil {
		t.Fatal(err)
	}
	const last = `{"canonical_name":"App 1999","url_patterns":["https://example.com/1999"]}`
	wantImported(t, importFile(t, s.Client, importCatalogPath, rowfile.NDJSON, last), 1, 0, 0)
}

// open begins to read an export of the catalog, and returns its body when some of it has arrived, and its Content-Length.
func open(t *testing.T, client *http.Client, as *servertest.Client, header ...string) (body io.ReadCloser, length int64) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, as.URL+exportCatalogPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+as.Token)
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		request.Header.Set(name, value)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	if _, err := io.ReadFull(response.Body, make([]byte, 1000)); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%d %v", response.StatusCode, err)
	}
	return response.Body, response.ContentLength
}

// TestExportIsCut has exports fail on the way: on SQLite a row cannot be read, on PostgreSQL the connection breaks. The body has no end,
// whether it is compressed or not, with HTTP/1 and HTTP/2.
func TestExportIsCut(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		largeCatalog(t, s)
		db := storetest.SQL(t, s.DatabaseURL)
		breakIt := func() {
			t.Helper()
			// An export that waits for its reader is the only idle transaction of this database.
			const end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'"
			eventually(t, func() bool {
				ended := 0
				if err := db.QueryRowContext(t.Context(), end).Scan(&ended); err != nil {
					t.Fatal(err)
				}
				return ended > 0
			})
		}
		if strings.HasPrefix(s.DatabaseURL, "sqlite:") {
			execute(t, db, "UPDATE catalog_url_patterns SET created_at = 'x' WHERE pattern = 'https://example.com/1999'")
			breakIt = func() {}
		}
		second := httptest.NewUnstartedServer(s.Server)
		second.EnableHTTP2 = true
		second.StartTLS()
		t.Cleanup(second.Close)
		uncompressed := &http.Client{Transport: &http.Transport{DisableCompression: true}}
		for name, c := range map[string]struct {
			client *http.Client
			as     *servertest.Client
			header []string
		}{
			"HTTP/1":            {uncompressed, s.Client, nil},
			"HTTP/1 compressed": {uncompressed, s.Client, []string{"Accept-Encoding: gzip"}},
			"HTTP/2":            {second.Client(), &servertest.Client{URL: second.URL, Token: s.Token}, []string{"Accept-Encoding: identity"}},
		} {
			if c.header != nil && strings.HasSuffix(c.header[0], "gzip") && !strings.HasPrefix(s.DatabaseURL, "sqlite:") {
				continue // compressed, it is small enough to be sent before the connection breaks
			}
			body, length := open(t, c.client, c.as, c.header...)
			breakIt()
			n, err := io.Copy(io.Discard, body)
			if err == nil || length >= 0 {
				t.Errorf("%s: after %d more bytes the body ends with %v", name, n, err)
			}
			eventually(t, func() bool {
				return len(failedExports(t, s)) > 0 && s.Store.Stats().Pools[len(s.Store.Stats().Pools)-1].InUse == 0
			})
		}
		for _, line := range failedExports(t, s) {
			if line["status"] != 200.0 || line["error"] == "" {
				t.Errorf("log: %v", line)
			}
		}
		if strings.HasPrefix(s.DatabaseURL, "sqlite:") {
			// What fails in the first page is an answer like any other.
			if got := s.Get(t, exportCatalogPath+"?sort_order=desc"); got.Status != http.StatusInternalServerError || got.Body != broken+"\n" {
				t.Errorf("before the first row: %d %.200s", got.Status, got.Body)
			}
		}
	})
}

func execute(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// failedExports returns the log lines of exports that have an error.
func failedExports(t *testing.T, s *servertest.Server) (lines []servertest.Line) {
	t.Helper()
	for _, line := range s.Log.Requests(t) {
		if line["operation_id"] == "exportCatalog" && line["error"] != nil {
			lines = append(lines, line)
		}
	}
	return lines
}

// TestReaderOfAnExportGoes disconnects in the middle. The database work ends, and its connection is free again.
func TestReaderOfAnExportGoes(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		largeCatalog(t, s)
		pool := func() int { pools := s.Store.Stats().Pools; return pools[len(pools)-1].InUse }
		body, _ := open(t, &http.Client{Transport: &http.Transport{DisableCompression: true}}, s.Client)
		if pool() == 0 {
			t.Error("the export has ended before its reader went")
		}
		_ = body.Close()
		eventually(t, func() bool { return pool() == 0 && len(failedExports(t, s)) == 1 })
		for range 5 { // the places are free again
			if got := s.Send(t, servertest.Request{Method: http.MethodHead, Target: exportCatalogPath}); got.Status != http.StatusOK {
				t.Errorf("%d %s", got.Status, got.Body)
			}
		}
		eventually(t, func() bool { return pool() == 0 }) // after HEAD, too
	})
}

// TestExportIsCompressed compares an export in gzip with the plain one.
func TestExportIsCompressed(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		catalog, _, rows := hostileCatalog(t)
		wantImported(t, importFile(t, s.Client, importCatalogPath, rowfile.NDJSON, catalog), rows, 0, 0)
		plain := exportFile(t, s.Client, exportCatalogPath, rowfile.CSV)
		got := s.Send(t, servertest.Request{Method: http.MethodGet, Target: exportCatalogPath, Header: []string{"Accept: text/csv", "Accept-Encoding: gzip"}})
		if got.Header.Get("Content-Encoding") != "gzip" || got.Body != plain || len(plain) < 50_000 {
			t.Errorf("%v, %d bytes of %d", got.Header, len(got.Body), len(plain))
		}
	})
}

// TestCompressedExportStreams reads the beginning of a compressed export before its end exists.
func TestCompressedExportStreams(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, storetest.SQLite(t))
	largeCatalog(t, s)
	db := storetest.SQL(t, s.DatabaseURL)
	execute(t, db, "UPDATE catalog_url_patterns SET created_at = 'x' WHERE pattern = 'https://example.com/1999'")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+exportCatalogPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+s.Token)
	request.Header.Set("Accept-Encoding", "gzip")
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	sent, err := io.ReadAll(response.Body)
	if !errors.Is(err, io.ErrUnexpectedEOF) || response.Header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("%v, %d bytes, then %v", response.Header, len(sent), err)
	}
	plain, err := gzip.NewReader(bytes.NewReader(sent))
	if err != nil {
		t.Fatal(err)
	}
	rows, _ := io.ReadAll(plain)
	if n := bytes.Count(rows, []byte("\n")); n < 1000 {
		t.Errorf("%d rows arrived before the one that cannot be read", n)
	}
}

// TestExportIsOneMoment exports while others change all rows at once, back and forth. In every export all rows are alike.
func TestExportIsOneMoment(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		catalog, apps, rows := hostileCatalog(t)
		wantImported(t, importFile(t, s.Client, importCatalogPath, rowfile.NDJSON, catalog), rows, 0, 0)
		wantImported(t, importFile(t, s.Client, importAppsPath, rowfile.NDJSON, apps), rows, 0, 0)
		names := exportFile(t, s.Client, exportAppsPath, rowfile.NDJSON)
		// files sets a field of all rows to the first value and to the second.
		files := func(field, first, second string) (both [2]string) {
			for line := range strings.Lines(names) {
				name, _, _ := strings.Cut(line, `,"is_favorite"`)
				both[0] += fmt.Sprintf("%s,%q:%s}\n", name, field, first)
				both[1] += fmt.Sprintf("%s,%q:%s}\n", name, field, second)
			}
			return both
		}
		licenses, types := files("license_count", "111", "222"), files("type", `"aaa"`, `"bbb"`)
		stop, stopped := make(chan struct{}), make(chan struct{})
		writer := newTokenClient(t, s)
		go func() {
			defer close(stopped)
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				a := importFile(t, writer, importAppsPath, rowfile.NDJSON, licenses[i%2])
				b := importFile(t, writer, importCatalogPath, rowfile.NDJSON, types[i%2])
				if a.Status != http.StatusOK || b.Status != http.StatusOK {
					t.Errorf("%d %s %d %s", a.Status, a.Body, b.Status, b.Body)
					return
				}
			}
		}()
		seen := map[string]bool{}
		for i := 0; i < 20 || len(seen) < 4 && i < 500; i++ {
			for target, values := range map[string][2]string{exportAppsPath: {",111\n", ",222\n"}, exportCatalogPath: {`,aaa,`, `,bbb,`}} {
				file := exportFile(t, s.Client, target, rowfile.CSV)
				a, b := strings.Count(file, values[0]), strings.Count(file, values[1])
				if a > 0 && b > 0 || a != 0 && a != rows+1 || b != 0 && b != rows+1 {
					t.Fatalf("%s: %d rows are of one moment and %d of another", target, a, b)
				}
				if a+b > 0 {
					seen[target+fmt.Sprint(a > 0)] = true
				}
			}
		}
		close(stop)
		<-stopped
		if len(seen) < 4 {
			t.Errorf("the exports saw only %v", seen)
		}
	})
}
