package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/store/storetest"
)

const pageApp = "/v2/clients/aa7cf840-9ca9-46a3-9778-9015d6580d50/apps/f1a2b3c4-d5e6-7890-abcd-ef1234567890"

// The page's app before any of its requests ran.
const untouched = `{"id":"f1a2b3c4-d5e6-7890-abcd-ef1234567890","catalog_app":{"id":"a1b2c3d4-e5f6-7890-abcd-ef1234567890",` +
	`"canonical_name":"Slack","description":"A messaging and collaboration platform for teams","display_colour":"#4A154B",` +
	`"logo":"https://cdn.example.com/logos/slack.png","type":"desktop","vendor":{"id":"f6a7b8c9-d0e1-2345-fabc-678901234567",` +
	`"name":"Salesforce, Inc.","url":"https://www.salesforce.com"},"categories":[{"id":"a7b8c9d0-e1f2-3456-abcd-789012345678",` +
	`"name":"Communication"}],"created_at":"2025-06-15T10:00:00.000Z","updated_at":"2026-02-10T09:15:00.000Z"},` +
	`"is_favorite":false,"is_approved":false,"license_count":null,"created_at":"2026-01-15T10:00:00.000Z",` +
	`"updated_at":"2026-01-15T10:00:00.000Z"}` + "\n"

// send sends one request and returns status and body.
func (s *serving) send(t *testing.T, method, path, token, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestServeDemo(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		t.Parallel()
		demo := startServe(t, url, "--demo")
		if out := demo.stdout.String(); !strings.Contains(out, demo.url+pageApp) || !strings.Contains(out, "Bearer demo-token") {
			t.Errorf("no curl line to paste in: %s", out)
		}
		if status, body := demo.send(t, http.MethodGet, pageApp, "demo-token", ""); status != http.StatusOK || body != untouched {
			t.Errorf("%d %s", status, body)
		}
		_, patched := demo.send(t, http.MethodPatch, pageApp, "demo-token", `{"license_count":50}`)
		if code := demo.stop(); code != 0 {
			t.Errorf("exit code %d: %s", code, demo.stderr)
		}

		again := startServe(t, url, "--demo")
		if status, body := again.send(t, http.MethodGet, pageApp, "demo-token", ""); status != http.StatusOK || body != patched {
			t.Errorf("the demo data came back over what was changed: %d %s", status, body)
		}
		again.stop()

		plain := startServe(t, url)
		if status, _ := plain.send(t, http.MethodGet, pageApp, "demo-token", ""); status != http.StatusUnauthorized {
			t.Errorf("without --demo the demo token is answered with %d", status)
		}
		if plain.stdout.String() != "" {
			t.Errorf("printed %s", plain.stdout)
		}
	})
}

func TestServeOnAnEmptyDatabase(t *testing.T) {
	t.Parallel()
	url := "sqlite://" + t.TempDir() + "/empty.db"
	s := startServe(t, url, "--migrate=false")
	if status, body := s.send(t, http.MethodGet, "/readyz", "", ""); status != http.StatusServiceUnavailable ||
		body != `{"error":{"code":"unavailable","message":"Service temporarily unavailable"}}`+"\n" {
		t.Errorf("ready: %d %s", status, body)
	}
	if status, _ := s.send(t, http.MethodGet, "/healthz", "", ""); status != http.StatusOK {
		t.Errorf("healthy: %d", status)
	}
	if out := must(t, url, "migrate", "status"); out != "schema version 0, this program needs 1\n" {
		t.Error(out)
	}
	if out := must(t, url, "migrate", "up"); out != "schema version 1, this program needs 1\n" {
		t.Error(out)
	}
	if status, _ := s.send(t, http.MethodGet, "/readyz", "", ""); status != http.StatusOK {
		t.Errorf("ready after migrate up: %d", status)
	}
}

func TestAddressInUse(t *testing.T) {
	t.Parallel()
	first := startServe(t, storetest.SQLite(t))
	o := command(t, []string{"CLIENTAPPS_DATABASE_URL=" + storetest.SQLite(t)}, "serve", "--addr", strings.TrimPrefix(first.url, "http://"))
	if o.code != 1 || !strings.Contains(o.stderr, "listen") {
		t.Errorf("%+v", o)
	}
}

func TestJSONLog(t *testing.T) {
	t.Parallel()
	s := startServe(t, storetest.SQLite(t), "--log-format", "json")
	s.send(t, http.MethodGet, pageApp, "", "")
	s.stop()
	for line := range strings.Lines(s.stderr.String()) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
	if !strings.Contains(s.stderr.String(), `"operation_id":"getApp"`) {
		t.Error(s.stderr)
	}
}

// TestPackagesAreDocumented holds the README's table of packages to the folders that have Go files.
func TestPackagesAreDocumented(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"gen", "server", "server/servertest", "store", "store/storetest", "store/migrations", "cmd/clientapps", "examples", "tools", "client", "sdk/typescript", "contract"} {
		if !strings.Contains(string(readme), "| `"+folder+"/` |") {
			t.Errorf("no row for %s", folder)
		}
	}
}
