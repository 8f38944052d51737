package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/schemas"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/apitoken"
	"github.com/clientapps/clientapps/store/storetest"
)

const (
	clientPath   = "/v2/clients/aa7cf840-9ca9-46a3-9778-9015d6580d50"
	catalogPath  = "/v2/catalog-apps/a1b2c3d4-e5f6-7890-abcd-ef1234567890"
	vendorPath   = "/v2/catalog-vendors/f6a7b8c9-d0e1-2345-fabc-678901234567"
	categoryPath = "/v2/catalog-categories/a7b8c9d0-e1f2-3456-abcd-789012345678"

	// See withNewEntry.
	tokenPath   = "/v2/tokens/d0b2c3d4-e5f6-7890-abcd-ef1234567890"
	retiredPath = "/v2/tokens/d1b2c3d4-e5f6-7890-abcd-ef1234567890"
	hookPath    = "/v2/webhooks/d2b2c3d4-e5f6-7890-abcd-ef1234567890"

	retiredHookPath = "/v2/webhooks/d3b2c3d4-e5f6-7890-abcd-ef1234567890"
)

// request is a request of an operation that succeeds with the seeded data.
type request struct {
	method, target, body string
	table                string // a table that the operation needs
}

// requests has one request for every operation of the contract.
var requests = map[string]request{
	"listClients":           {"GET", "/v2/clients", "", "clients"},
	"createClient":          {"POST", "/v2/clients", `{"name":"Fabrikam"}`, "clients"},
	"getClient":             {"GET", clientPath, "", "clients"},
	"updateClient":          {"PATCH", clientPath, `{"name":"Contoso Group"}`, "clients"},
	"deleteClient":          {"DELETE", "/v2/clients/" + formerClient, "", "clients"},
	"listApps":              {"GET", clientPath + "/apps", "", "apps"},
	"addApp":                {"POST", clientPath + "/apps", `{"catalog_app_id":"` + newEntry + `"}`, "apps"},
	"getApp":                {"GET", appPath, "", "apps"},
	"updateApp":             {"PATCH", appPath, `{"is_favorite":true}`, "apps"},
	"updateApps":            {"PATCH", clientPath + "/apps", `{"updates":[{"id":"` + appID + `","is_favorite":true}]}`, "apps"},
	"exportApps":            {"GET", clientPath + "/apps/export", "", "apps"},
	"importApps":            {"POST", clientPath + "/apps/import", `{"canonical_name":"Slack","license_count":50}`, "apps"},
	"exportCatalog":         {"GET", "/v2/catalog-apps/export", "", "catalog_apps"},
	"importCatalog":         {"POST", "/v2/catalog-apps/import", `{"canonical_name":"Slack","type":"web"}`, "catalog_apps"},
	"removeApp":             {"DELETE", appPath, "", "apps"},
	"listAppChanges":        {"GET", appPath + "/changes", "", "app_changes"},
	"listChanges":           {"GET", clientPath + "/changes", "", "app_changes"},
	"listAllChanges":        {"GET", "/v2/changes", "", "app_changes"},
	"streamChanges":         {"GET", clientPath + "/changes/stream", "", "app_changes"},
	"streamAllChanges":      {"GET", "/v2/changes/stream", "", "app_changes"},
	"listCatalogChanges":    {"GET", "/v2/catalog-changes", "", "catalog_changes"},
	"addFavorites":          {"POST", clientPath + "/apps/favorites", bulkBody, "apps"},
	"removeFavorites":       {"POST", clientPath + "/apps/favorites/remove", bulkBody, "apps"},
	"approveApps":           {"POST", clientPath + "/apps/approval", bulkBody, "apps"},
	"rejectApps":            {"POST", clientPath + "/apps/approval/reject", bulkBody, "apps"},
	"removeAppApprovals":    {"POST", clientPath + "/apps/approvals/remove", bulkBody, "apps"},
	"listCatalogApps":       {"GET", "/v2/catalog-apps", "", "catalog_state"},
	"createCatalogApp":      {"POST", "/v2/catalog-apps", `{"canonical_name":"Intranet"}`, "catalog_apps"},
	"getCatalogSummary":     {"GET", "/v2/catalog-apps/summary", "", ""},
	"getCatalogApp":         {"GET", catalogPath, "", ""},
	"updateCatalogApp":      {"PATCH", catalogPath, `{"description":"New"}`, "catalog_apps"},
	"deleteCatalogApp":      {"DELETE", "/v2/catalog-apps/" + newEntry, "", "catalog_apps"},
	"listUrlPatterns":       {"GET", catalogPath + "/url-patterns", "", "catalog_url_patterns"},
	"replaceUrlPatterns":    {"PUT", catalogPath + "/url-patterns", `{"patterns":["https://*.slack.com/*"]}`, "catalog_url_patterns"},
	"listDesktopAliases":    {"GET", catalogPath + "/desktop-aliases", "", "catalog_desktop_aliases"},
	"replaceDesktopAliases": {"PUT", catalogPath + "/desktop-aliases", `{"aliases":["slack.exe"]}`, "catalog_desktop_aliases"},
	"listCatalogVendors":    {"GET", "/v2/catalog-vendors", "", "catalog_state"},
	"createCatalogVendor":   {"POST", "/v2/catalog-vendors", `{"name":"Fabrikam"}`, "catalog_vendors"},
	"updateCatalogVendor":   {"PATCH", vendorPath, `{"name":"Salesforce"}`, "catalog_vendors"},
	"deleteCatalogVendor":   {"DELETE", "/v2/catalog-vendors/" + newVendor, "", "catalog_vendors"},
	"listCatalogCategories": {"GET", "/v2/catalog-categories", "", "catalog_state"},
	"createCatalogCategory": {"POST", "/v2/catalog-categories", `{"name":"Security"}`, "catalog_categories"},
	"updateCatalogCategory": {"PATCH", categoryPath, `{"name":"Chat"}`, "catalog_categories"},
	"deleteCatalogCategory": {"DELETE", "/v2/catalog-categories/" + newCategory, "", "catalog_categories"},
	"listTokens":            {"GET", "/v2/tokens", "", "tokens"},
	"createToken":           {"POST", "/v2/tokens", `{"name":"new","scopes":["apps:read"],"client_ids":["` + clientID + `"]}`, "tokens"},
	"getToken":              {"GET", tokenPath, "", "tokens"},
	"rotateToken":           {"POST", tokenPath + "/rotate", `{"overlap_seconds":60}`, "tokens"},
	"revokeToken":           {"DELETE", retiredPath, "", "tokens"},
	"listWebhooks":          {"GET", "/v2/webhooks", "", "webhooks"},
	"createWebhook":         {"POST", "/v2/webhooks", `{"client_id":"` + clientID + `","url":"https://hooks.example.com/"}`, "webhooks"},
	"getWebhook":            {"GET", hookPath, "", "webhooks"},
	"updateWebhook":         {"PATCH", hookPath, `{"description":"New"}`, "webhooks"},
	"deleteWebhook":         {"DELETE", retiredHookPath, "", "webhooks"},
	"rotateWebhookSecret":   {"POST", hookPath + "/rotate-secret", "", "webhooks"},
	"replayWebhook":         {"POST", hookPath + "/replay", `{"since":"2099-12-31T23:59:59Z"}`, "webhooks"},
	"testWebhook":           {"POST", hookPath + "/test", "", "webhooks"},
	"listWebhookDeliveries": {"GET", hookPath + "/deliveries", "", "webhook_deliveries"},
}

// needsFeed reports whether a database refuses an operation because it is distributed, and has no change feed.
func needsFeed(operation string) bool {
	return storetest.OnCitus() && slices.Contains([]string{
		"listChanges", "listAllChanges", "streamChanges", "streamAllChanges", "listCatalogChanges", "createWebhook", "replayWebhook",
	}, operation)
}

const (
	newEntry     = "c3b2c3d4-e5f6-7890-abcd-ef1234567890" // a catalog app that no client has
	newVendor    = "c4b2c3d4-e5f6-7890-abcd-ef1234567890" // a vendor that no catalog app names
	newCategory  = "c5b2c3d4-e5f6-7890-abcd-ef1234567890" // a category that no catalog app is in
	formerClient = "c6b2c3d4-e5f6-7890-abcd-ef1234567890" // a client that is suspended
)

const bulkBody = `{"app_ids":["` + appID + `"]}`

// withNewEntry adds what the requests delete: newEntry, newVendor, newCategory and formerClient, the tokens of tokenPath and
// retiredPath, and seededWebhooks, whose secrets nobody knows.
func withNewEntry(t *testing.T, s *servertest.Server) {
	t.Helper()
	at := storetest.Now
	data := store.Dataset{
		CatalogApps: []store.CatalogApp{{ID: id(newEntry), CanonicalName: "Zoom", CreatedAt: at, UpdatedAt: at}},
		Vendors:     []store.Vendor{{ID: id(newVendor), Name: "Tailspin Toys", CreatedAt: at, UpdatedAt: at}},
		Categories:  []store.Category{{ID: id(newCategory), Name: "Games", CreatedAt: at, UpdatedAt: at}},
	}
	for _, path := range []string{tokenPath, retiredPath} {
		data.Tokens = append(data.Tokens, store.Token{
			ID: id(strings.TrimPrefix(path, "/v2/tokens/")), Name: "nightly sync", Hash: apitoken.Hash(path), Scopes: "apps:read apps:write",
			ClientIDs: []uuid.UUID{storetest.ClientID}, CreatedAt: storetest.Now,
		})
	}
	data.Webhooks = seededWebhooks()
	err := s.Store.Seed(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	withFormerClient(t, s)
}

// seededWebhooks returns the webhooks of hookPath and retiredHookPath.
func seededWebhooks() (hooks []store.Webhook) {
	for _, path := range []string{hookPath, retiredHookPath} {
		hooks = append(hooks, store.Webhook{
			ID: id(strings.TrimPrefix(path, "/v2/webhooks/")), ClientID: &storetest.ClientID, URL: nowhere, Status: store.WebhookDisabled,
			Secret: []byte{1}, CreatedAt: storetest.Now, UpdatedAt: storetest.Now,
		})
	}
	return hooks
}

// withFormerClient adds formerClient.
func withFormerClient(t *testing.T, s *servertest.Server) {
	t.Helper()
	err := s.Store.Seed(t.Context(), store.Dataset{Clients: []store.Client{{
		ID: id(formerClient), Name: "Litware", Status: store.StatusSuspended, CreatedAt: storetest.Now, UpdatedAt: storetest.Now,
	}}})
	if err != nil {
		t.Fatal(err)
	}
}

// content returns everything in the database.
func (f *fixture) content(t *testing.T) string {
	t.Helper()
	var all []string
	for _, table := range []string{
		"clients", "apps", "app_changes", "catalog_apps", "catalog_vendors", "catalog_categories", "catalog_app_categories",
		"catalog_url_patterns", "catalog_desktop_aliases", "catalog_state", "catalog_changes", "tokens", "token_clients", "webhooks",
		"webhook_deliveries",
	} {
		for _, r := range f.rows(t, "SELECT * FROM "+table) {
			all = append(all, table+" "+r.String())
		}
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// TestEveryOperationRefusesAlike sends each operation's request with one thing wrong. Every operation gives the same answer and
// writes nothing, and says the same in problem details.
func TestEveryOperationRefusesAlike(t *testing.T) {
	t.Parallel()
	doc, err := schemas.Contract()
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, item := range doc.Paths.Map() {
		count += len(item.Operations())
	}
	if count != len(requests) {
		t.Errorf("the contract has %d operations, requests has %d", count, len(requests))
	}
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		f := newFixture(t, s)
		withNewEntry(t, s)
		for name, r := range requests {
			t.Run(name, func(t *testing.T) {
				before := f.content(t)
				f.refusals(t, r)
				if after := f.content(t); after != before {
					t.Errorf("a refusal wrote:\n%s\nbefore:\n%s", after, before)
				}
			})
		}
	})
}

func (f *fixture) refusals(t *testing.T, r request) {
	t.Helper()
	refuse := func(as string, status int, want string, change servertest.Request) {
		t.Helper()
		change.Method, change.Target = or(change.Method, r.method), or(change.Target, r.target)
		if change.Body == "" && r.body != "" {
			change.Body = r.body
		}
		if got := f.clients[as].SendBoth(t, change); got.Status != status || want != "" && got.Body != want+"\n" {
			t.Errorf("%s %s %v by %s: %d %s", change.Method, change.Target, change.Header, as, got.Status, got.Body)
		}
	}
	for _, as := range []string{"anonymous", "unknown", "expired", "revoked"} {
		refuse(as, 401, unauthorized, servertest.Request{})
	}
	refuse("scopeless", 403, forbidden, servertest.Request{})
	if strings.HasPrefix(r.target, clientPath) {
		refuse("other", 403, forbidden, servertest.Request{})
		if r.target != clientPath {
			refuse("client", 403, forbidden, servertest.Request{Target: strings.Replace(r.target, clientID, nilID, 1)})
			if !storetest.OnCitus() || !strings.HasPrefix(r.target, clientPath+"/changes") { // which has no feed for anyone
				refuse("everything", 404, noClient(nilID), servertest.Request{Target: strings.Replace(r.target, clientID, nilID, 1)})
			}
		}
		refuse("everything", 400, invalidField("client_id", "client_id must be a UUID"), servertest.Request{Target: strings.Replace(r.target, clientID, "1", 1)})
	}
	refuse("everything", 400, invalidField("x", "Unknown query parameter 'x'"), servertest.Request{Target: r.target + "?x=1"})
	refuse("everything", 404, noRoute, servertest.Request{Target: r.target + "/"})
	media := notJSON
	switch {
	case strings.HasSuffix(r.target, "/stream"):
		media = strings.Replace(notJSON, "application/json", "text/event-stream", 1)
	case strings.HasSuffix(r.target, "/export"):
		media = strings.Replace(notJSON, "application/json", "text/csv or application/x-ndjson", 1)
	}
	refuse("everything", 406, media, servertest.Request{Header: []string{"Accept: text/html"}})
	refuse("anonymous", 405, noMethod, servertest.Request{Method: "TRACE"})
	switch {
	case r.body == "":
		return
	case strings.HasSuffix(r.target, "/import"): // see importupload_test.go for the others
		for _, media := range []string{"application/json", "text/plain", "", "text/csv2"} {
			refuse("everything", 415, "", servertest.Request{Header: []string{"Content-Type: " + media}})
		}
		refuse("everything", 415, "", servertest.Request{Header: []string{"Content-Encoding: gzip"}})
		return
	}
	refuse("everything", 413, tooLarge, servertest.Request{Body: r.body + strings.Repeat(" ", 1<<20)})
	refuse("everything", 415, "", servertest.Request{Header: []string{"Content-Type: text/plain"}})
	refuse("everything", 400, invalid("Request body must be a JSON object"), servertest.Request{Body: "[]"})
	refuse("everything", 400, invalid("Request body has data behind its JSON value"), servertest.Request{Body: r.body + "{}"})
	nonsense := invalidField("nonsense", "Unknown field 'nonsense'")
	if strings.Contains(r.body, `"updates"`) { // its errors have a place, also a single one
		nonsense = strings.Replace(nonsense, `"}}}`, `","errors":[{"field":"nonsense","pointer":"/nonsense","message":"Unknown field 'nonsense'"}]}}}`, 1)
	}
	refuse("everything", 400, nonsense, servertest.Request{Body: strings.Replace(r.body, "{", `{"nonsense":1,`, 1)})
	if r.method == http.MethodPost || r.method == http.MethodPut {
		if r.target != tokenPath+"/rotate" { // whose fields are optional
			refuse("everything", 400, "", servertest.Request{Body: "{}"})
		}
		refuse("everything", 415, "", servertest.Request{Header: []string{"Content-Type: application/merge-patch+json"}})
	}
}

// TestEveryOperationFailsAlike drops a table that each operation needs, then closes the database.
func TestEveryOperationFailsAlike(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		withNewEntry(t, s)
		s.Get(t, appPath) // caches the catalog and the token
		db := storetest.SQL(t, s.DatabaseURL)
		rename := func(from, to string) {
			t.Helper()
			if _, err := db.ExecContext(t.Context(), "ALTER TABLE "+from+" RENAME TO "+to); err != nil {
				t.Fatal(err)
			}
		}
		for name, r := range requests {
			if r.table == "" || needsFeed(name) {
				continue // served from the catalog cache, or by no database like this
			}
			rename(r.table, "lost")
			got := s.SendBoth(t, servertest.Request{Method: r.method, Target: r.target, Body: r.body})
			if got.Status != http.StatusInternalServerError || got.Body != broken+"\n" {
				t.Errorf("%s without %s: %d %s", name, r.table, got.Status, got.Body)
			}
			rename("lost", r.table)
		}
		// Operations served from the cache still need the database to authenticate a new token.
		stranger, late := newTokenClient(t, s), newTokenClient(t, s)
		rename("tokens", "lost")
		for name, r := range requests {
			got := stranger.SendBoth(t, servertest.Request{Method: r.method, Target: r.target, Body: r.body})
			if got.Status != http.StatusInternalServerError || got.Body != broken+"\n" {
				t.Errorf("%s without tokens: %d %s", name, got.Status, got.Body)
			}
		}
		rename("lost", "tokens")
		if err := s.Store.Close(); err != nil {
			t.Fatal(err)
		}
		for name, r := range requests {
			got := late.SendBoth(t, servertest.Request{Method: r.method, Target: r.target, Body: r.body})
			if got.Status != http.StatusServiceUnavailable || got.Body != unavailable+"\n" || got.Header.Get("Retry-After") != "1" {
				t.Errorf("%s on a closed store: %d %s", name, got.Status, got.Body)
			}
		}
	})
}

// newTokenClient returns a client with a token that the server has not cached.
func newTokenClient(t *testing.T, s *servertest.Server) *servertest.Client {
	t.Helper()
	secret, _ := s.NewToken(t, store.Token{Name: "newTokenClient", AllClients: true, Scopes: strings.Join(server.Scopes(), " ")})
	return &servertest.Client{URL: s.URL, Token: secret}
}
