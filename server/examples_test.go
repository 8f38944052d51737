package server_test

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/server/schemas"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// suspendedClient is the client of the demo that is suspended.
const suspendedClient = "ba798af9-7f2f-5f0e-832b-5b75b370b13f"

// The contract's examples of errors are exactly what the server answers.
func TestExamplesOfErrors(t *testing.T) {
	t.Parallel()
	const (
		client  = "/v2/clients/aa7cf840-9ca9-46a3-9778-9015d6580d50"
		app     = client + "/apps/f1a2b3c4-d5e6-7890-abcd-ef1234567890"
		slack   = "/v2/catalog-apps/a1b2c3d4-e5f6-7890-abcd-ef1234567890"
		noID    = "00000000-0000-0000-0000-000000000000"
		outside = "-" // no request can cause it deterministically
		hooked  = "-" // see webhooks_test.go
		hook    = "/v2/webhooks/a241bc3f-bb17-5e2d-8e19-298eeb39497b"
	)
	requests := map[string]struct{ method, target, header, body string }{
		"MalformedID":           {"GET", client + "/apps/x", "", ""},
		"UnknownParameter":      {"GET", app + "?page=2", "", ""},
		"PageSizeOutOfRange":    {"GET", client + "/apps?page_size=501", "", ""},
		"CursorExpired":         {"GET", client + "/changes?cursor=" + feedCursor("changes\n"+client+"/changes\n", "0123456789abcdef", "7"), "", ""},
		"NotAcceptableStream":   {"GET", client + "/changes/stream", "Accept: application/json", ""},
		"CursorAndSince":        {"GET", client + "/changes?cursor=AAECAwQFBgc&since=2026-01-01T00:00:00Z", "", ""},
		"GarbledCursor":         {"GET", client + "/apps?cursor=AAECAwQFBgc", "", ""},
		"InvalidFieldType":      {"PATCH", app, "", `{"is_favorite": "yes"}`},
		"ReadOnlyField":         {"PATCH", app, "", `{"catalog_app": {}}`},
		"SeveralFields":         {"PATCH", app, "", `{"license_count": -1, "is_favorite": null}`},
		"UnknownField":          {"PATCH", app, "", `{"favourite": true}`},
		"DuplicateKey":          {"POST", "/v2/clients", "", `{"name": "a", "name": "b"}`},
		"MissingCatalogApp":     {"POST", client + "/apps", "", `{}`},
		"UnknownCatalogApp":     {"POST", client + "/apps", "", `{"catalog_app_id": "` + noID + `"}`},
		"AppIDsEmpty":           {"POST", client + "/apps/favorites", "", `{"app_ids": []}`},
		"AppIDsMalformed":       {"POST", client + "/apps/favorites", "", `{"app_ids": ["x"]}`},
		"InvalidText":           {"POST", "/v2/clients", "", `{"name": " "}`},
		"Unauthorized":          {"GET", app, "Authorization: Basic eDp5", ""},
		"Forbidden":             {"PATCH", app, "reader", `{}`},
		"AppNotFound":           {"GET", app[:len(app)-1] + "1", "", ""},
		"ClientNotFound":        {"GET", client[:len(client)-1] + "1", "", ""},
		"CatalogAppNotFound":    {"GET", slack[:len(slack)-1] + "1", "", ""},
		"VendorNotFound":        {"PATCH", "/v2/catalog-vendors/f6a7b8c9-d0e1-2345-fabc-678901234568", "", `{}`},
		"CategoryNotFound":      {"PATCH", "/v2/catalog-categories/a7b8c9d0-e1f2-3456-abcd-789012345679", "", `{}`},
		"MethodNotAllowed":      {"PUT", app, "", ""},
		"NotAcceptable":         {"GET", app, "Accept: text/html", ""},
		"AppConflict":           {"POST", client + "/apps", "", `{"catalog_app_id": "a1b2c3d4-e5f6-7890-abcd-ef1234567890"}`},
		"CatalogAppConflict":    {"POST", "/v2/catalog-apps", "", `{"canonical_name": "SLACK"}`},
		"NameConflict":          {"POST", "/v2/catalog-vendors", "", `{"name": "SALESFORCE, Inc."}`},
		"InUse":                 {"DELETE", slack, "", ""},
		"VendorInUse":           {"DELETE", "/v2/catalog-vendors/f6a7b8c9-d0e1-2345-fabc-678901234567", "", ""},
		"CategoryInUse":         {"DELETE", "/v2/catalog-categories/a7b8c9d0-e1f2-3456-abcd-789012345678", "", ""},
		"ClientSuspended":       {"PATCH", "/v2/clients/" + suspendedClient + "/apps/" + noID, "", `{}`},
		"ClientNotSuspended":    {"DELETE", client, "", ""},
		"TakenID":               {"POST", "/v2/clients", "", `{"id": "aa7cf840-9ca9-46a3-9778-9015d6580d50", "name": "Contoso Ltd."}`},
		"PreconditionFailed":    {"PATCH", app, `If-Match: "old"`, `{"is_favorite": true}`},
		"PayloadTooLarge":       {"PATCH", app, "", strings.Repeat(" ", 1<<20+1)},
		"UnknownScope":          {"POST", "/v2/tokens", "", `{"name": "a", "scopes": ["apps:read", "apps:delete"], "all_clients": true}`},
		"TwoCoverages":          {"POST", "/v2/tokens", "", `{"name": "a", "scopes": ["apps:read"], "all_clients": true, "client_ids": []}`},
		"UnknownClients":        {"POST", "/v2/tokens", "", `{"name": "a", "scopes": ["apps:read"], "client_ids": ["` + noID + `"]}`},
		"PastExpiry":            {"POST", "/v2/tokens", "", `{"name": "a", "scopes": ["apps:read"], "all_clients": true, "expires_at": "2026-01-01T00:00:00Z"}`},
		"OverlapOutOfRange":     {"POST", "/v2/tokens/" + noID + "/rotate", "", `{"overlap_seconds": 604801}`},
		"TokenNotFound":         {"GET", "/v2/tokens/8ebf46fb-d81e-5612-8bcb-fe254883e58c", "", ""},
		"TokenEnded":            {"POST", "/v2/tokens/8ebf46fb-d81e-5612-8bcb-fe254883e58b/rotate", "", ""},
		"InvalidWebhookURL":     {"POST", "/v2/webhooks", "", clientWebhook("https://192.168.1.10/hook")},
		"UnknownClient":         {"POST", "/v2/webhooks", "", `{"client_id": "` + noID + `", "url": "` + publicURL + `"}`},
		"ReadOnlyWebhookField":  {"PATCH", hook, "", `{"behind": 0}`},
		"NeitherCursorNorSince": {"POST", hook + "/replay", "", `{}`},
		"WebhookNotFound":       {"GET", hook[:len(hook)-1] + "0", "", ""},
		"TooManyWebhooks":       {target: hooked},
		"WebhookPruned":         {target: hooked},
		"WebhooksOff":           {target: hooked},
		"UnsupportedMediaType":  {"POST", "/v2/clients", "Content-Type: application/x-www-form-urlencoded", "name=a"},
		"UnsupportedPatchType":  {"PATCH", app, "Content-Type: application/json-patch+json", "[]"},
		"AppUpdateInvalid":      {"PATCH", client + "/apps", "", `{"updates": [{"id": "` + noID + `", "license_count": -1}]}`},
		"AppUpdateRepeated":     {"PATCH", client + "/apps", "", `{"updates": [{"id": "` + noID + `"}, {"id": "` + noID + `"}]}`},
		"ImportRows":            {"POST", client + "/apps/import", "Content-Type: text/csv", "canonical_name,license_count\nSlack,many\n"},
		"ImportTooLarge":        {target: outside}, // see importupload_test.go
		"UnsupportedImportType": {"POST", client + "/apps/import", "Content-Type: application/json", "{}"},
		"NotAcceptableExport":   {"GET", client + "/apps/export", "Accept: application/json", ""},
		"PageOfExport":          {"GET", client + "/apps/export?page_size=10", "", ""},
		"RateLimited":           {target: outside},
		"InternalError":         {target: outside},
		"OutcomeUnknown":        {target: outside},
		"Unavailable":           {target: outside},
	}
	doc, err := schemas.Contract()
	if err != nil {
		t.Fatal(err)
	}
	storetest.EachParallel(t, func(t *testing.T, url string) {
		address, token, reader := serve(t, url)
		// The token of the example TokenEnded, revoked.
		if _, err := storetest.SQL(t, url).ExecContext(t.Context(), endedToken(url)); err != nil {
			t.Fatal(err)
		}
		if err := storetest.Open(t, url).Seed(t.Context(), store.Dataset{Webhooks: []store.Webhook{{
			ID: id(strings.TrimPrefix(hook, "/v2/webhooks/")), ClientID: &storetest.ClientID, URL: nowhere, Status: store.WebhookDisabled,
			Secret: []byte{1}, CreatedAt: storetest.Now, UpdatedAt: storetest.Now,
		}}}); err != nil {
			t.Fatal(err)
		}
		for name, example := range doc.Components.Examples {
			value, _ := example.Value.Value.(map[string]any)
			if value["error"] == nil {
				continue
			}
			r, known := requests[name]
			if !known {
				t.Errorf("no request for example %s", name)
			}
			if !known || r.target == outside {
				continue
			}
			header := http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + token}}
			if key, value, ok := strings.Cut(r.header, ": "); ok {
				header.Set(key, value)
			} else if r.header == "reader" {
				header.Set("Authorization", "Bearer "+reader)
			}
			var got any
			a := send(t, r.method, address+r.target, header, r.body)
			if err := json.Unmarshal([]byte(a.body), &got); err != nil || !reflect.DeepEqual(got, example.Value.Value) {
				t.Errorf("%s: %d %s, want %v", name, a.status, a.body, example.Value.Value)
			}
		}
	})
}

// endedToken returns a statement that inserts the revoked token of an example.
func endedToken(url string) string {
	hash, at := "decode(repeat('00', 32), 'hex')", "now()"
	if strings.HasPrefix(url, "sqlite:") {
		hash, at = "zeroblob(32)", "1772000000000"
	}
	return "INSERT INTO tokens (id, name, hash, scopes, all_clients, created_at, revoked_at) VALUES " +
		"('8ebf46fb-d81e-5612-8bcb-fe254883e58b', 'ended', " + hash + ", 'apps:read', true, " + at + ", " + at + ")"
}
