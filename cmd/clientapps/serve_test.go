package main

import (
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/store/storetest"
)

const pageApp = "/v2/clients/aa7cf840-9ca9-46a3-9778-9015d6580d50/apps/f1a2b3c4-d5e6-7890-abcd-ef1234567890"

// The app of the reference page before any of the page's requests.
const untouched = `{"id":"f1a2b3c4-d5e6-7890-abcd-ef1234567890","catalog_app":{"id":"a1b2c3d4-e5f6-7890-abcd-ef1234567890",` +
	`"canonical_name":"Slack","description":"A messaging and collaboration platform for teams","display_colour":"#4A154B",` +
	`"logo":"https://cdn.example.com/logos/slack.png","type":"desktop","vendor":{"id":"f6a7b8c9-d0e1-2345-fabc-678901234567",` +
	`"name":"Salesforce, Inc.","url":"https://www.salesforce.com"},"categories":[{"id":"a7b8c9d0-e1f2-3456-abcd-789012345678",` +
	`"name":"Communication"}],"created_at":"2025-06-15T10:00:00.000Z","updated_at":"2026-02-10T09:15:00.000Z"},` +
	`"is_favorite":false,"is_approved":false,"license_count":null,"created_at":"2026-01-15T10:00:00.000Z",` +
	`"updated_at":"2026-01-15T10:00:00.000Z"}` + "\n"

// lastUpdate matches the app's own updated_at; the catalog entry's comes before it.
var lastUpdate = regexp.MustCompile(`"updated_at":"[^"]*"}\n$`)

// updated is the app of the reference page with other fields, without the time of its last update.
func updated(fields string) string {
	catalogApp, _, _ := strings.Cut(untouched, `"is_favorite"`)
	return catalogApp + fields + `,"created_at":"2026-01-15T10:00:00.000Z",`
}

func TestServeDemo(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		demo := startServe(t, url, "--demo")
		if got := demo.as("demo-token").Get(t, pageApp); got.Status != http.StatusOK || got.Body != untouched {
			t.Errorf("%d %s", got.Status, got.Body)
		}
		// It logs its address before it prints the command, and answers after that.
		if out := demo.stdout.String(); !strings.Contains(out, demo.URL+pageApp) || !strings.Contains(out, "Bearer demo-token") {
			t.Errorf("no curl command in: %s", out)
		}
		last := untouched
		for _, example := range []struct{ body, want string }{
			{`{"is_favorite":true}`, updated(`"is_favorite":true,"is_approved":false,"license_count":null`)},
			{`{"license_count":50}`, updated(`"is_favorite":true,"is_approved":false,"license_count":50`)},
			{`{"license_count":null}`, updated(`"is_favorite":true,"is_approved":false,"license_count":null`)},
			{`{"is_approved":true}`, updated(`"is_favorite":true,"is_approved":true,"license_count":null`)},
			{`{"is_favorite":true,"is_approved":true,"license_count":50}`, updated(`"is_favorite":true,"is_approved":true,"license_count":50`)},
		} {
			got := demo.as("demo-token").Patch(t, pageApp, example.body)
			if last = got.Body; got.Status != http.StatusOK || lastUpdate.ReplaceAllString(last, "") != example.want {
				t.Errorf("%s: %d %s", example.body, got.Status, got.Body)
			}
		}
		if code := demo.stop(); code != 0 {
			t.Errorf("exit code %d: %s", code, demo.stderr)
		}

		again := startServe(t, url, "--demo")
		if got := again.as("demo-token").Get(t, pageApp); got.Status != http.StatusOK || got.Body != last {
			t.Errorf("loading the demo data again has overwritten changes: %d %s", got.Status, got.Body)
		}
		again.stop()

		plain := startServe(t, url)
		if got := plain.as("demo-token").Get(t, pageApp); got.Status != http.StatusUnauthorized {
			t.Errorf("without --demo the demo token is answered with %d", got.Status)
		}
		if plain.stdout.String() != "" {
			t.Errorf("printed %s", plain.stdout)
		}
	})
}

func TestServeOnAnEmptyDatabase(t *testing.T) {
	t.Parallel()
	for name, empty := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { t.Helper(); return "sqlite://" + filepath.Join(t.TempDir(), "empty.db") },
		"postgres": func(t *testing.T) string { t.Helper(); return storetest.EmptyPostgres(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := empty(t)
			s := startServe(t, url, "--migrate=false")
			if got := s.Get(t, "/readyz"); got.Status != http.StatusServiceUnavailable ||
				got.Body != `{"error":{"code":"unavailable","message":"Service temporarily unavailable"}}`+"\n" {
				t.Errorf("ready: %d %s", got.Status, got.Body)
			}
			if got := s.Get(t, "/healthz"); got.Status != http.StatusOK {
				t.Errorf("healthy: %d", got.Status)
			}
			o := command(t, []string{"CLIENTAPPS_DATABASE_URL=" + url}, "client", "create", "--name", "Fabrikam")
			if o.code != 1 || o.stdout != "" || !strings.Contains(o.stderr, "run clientapps migrate up") {
				t.Errorf("%+v", o)
			}
			if out := must(t, url, "migrate", "status"); out != "schema version 0, this program needs 11\n" {
				t.Error(out)
			}
			if out := must(t, url, "migrate", "up"); out != "schema version 11, this program needs 11\n" {
				t.Error(out)
			}
			if out := must(t, url, "migrate", "status"); out != "schema version 11, this program needs 11\n" {
				t.Error(out)
			}
			if got := s.Get(t, "/readyz"); got.Status != http.StatusOK {
				t.Errorf("ready after migrate up: %d", got.Status)
			}
		})
	}
}

// A stopped server releases its port and its database.
func TestStopReleasesEverything(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		first := startServe(t, url)
		addr := strings.TrimPrefix(first.URL, "http://")
		if o := command(t, []string{"CLIENTAPPS_DATABASE_URL=" + url}, "serve", "--addr", addr); o.code != 1 || !strings.Contains(o.stderr, "listen") {
			t.Errorf("a second server on the same port: %+v", o)
		}
		if code := first.stop(); code != 0 {
			t.Errorf("exit code %d: %s", code, first.stderr)
		}
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestJSONLog(t *testing.T) {
	t.Parallel()
	s := startServe(t, storetest.SQLite(t), "--log-format", "json")
	s.Get(t, pageApp)
	s.stop()
	requests := 0
	for line := range strings.Lines(s.stderr.String()) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		if entry["operation_id"] == "getApp" && entry["status"] == float64(http.StatusUnauthorized) {
			requests++
		}
	}
	if requests != 1 {
		t.Errorf("%d lines about the request in %s", requests, s.stderr)
	}
}

func TestLogLevel(t *testing.T) {
	t.Parallel()
	s := startServe(t, storetest.SQLite(t), "--demo", "--log-level", "error")
	s.Get(t, pageApp)
	s.stop()
	if log := s.stderr.String(); log != "" {
		t.Errorf("no error happened, but the log has %s", log)
	}
}
