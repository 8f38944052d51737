package conformance

import (
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/apitoken"
	"github.com/clientapps/clientapps/store/storetest"
)

// unused is a vendor and a category that no catalog app refers to, and a suspended client: to be deleted.
var unused = uuid.MustParse("d2b2c3d4-e5f6-7890-abcd-ef1234567890")

// spareApps are catalog apps that no client has: one to add, one to delete, and more so that lists have several pages.
var spareApps = []uuid.UUID{
	uuid.MustParse("c0000000-0000-4000-8000-000000000001"), uuid.MustParse("c0000000-0000-4000-8000-000000000002"),
	uuid.MustParse("c0000000-0000-4000-8000-000000000003"), uuid.MustParse("c0000000-0000-4000-8000-000000000004"),
}

// tokenIDs are the tokens in the contract's examples.
var tokenIDs = []uuid.UUID{
	uuid.MustParse("8ebf46fb-d81e-5612-8bcb-fe254883e58b"), uuid.MustParse("4bef3fc9-513d-5ca1-b5f1-f50f9eee6699"),
}

// webhookIDs are the webhooks in the contract's examples.
var webhookIDs = []uuid.UUID{
	uuid.MustParse("a241bc3f-bb17-5e2d-8e19-298eeb39497b"), uuid.MustParse("807ca42b-7ff6-57fc-afe4-db2c9d450308"),
}

// fixture is a server with tokens of all sorts and enough data that every operation can succeed.
type fixture struct {
	*servertest.Server

	db      *sql.DB
	clients map[string]*servertest.Client
	serial  int
}

func newFixture(t *testing.T, s *servertest.Server, operations []*Operation) *fixture {
	t.Helper()
	f := &fixture{Server: s, db: storetest.SQL(t, s.DatabaseURL), clients: map[string]*servertest.Client{
		"": s.Client, "anonymous": {URL: s.URL},
	}}
	var scopes []string
	for _, op := range operations {
		scopes = append(scopes, op.Scopes...)
	}
	slices.Sort(scopes)
	if scopes = slices.Compact(scopes); !slices.Equal(scopes, server.Scopes()) {
		t.Errorf("the contract has the scopes %v, the server %v", scopes, server.Scopes())
	}
	past := storetest.Now.Add(-time.Second)
	add := func(token store.Token) store.Token {
		secret, stored := s.NewToken(t, token)
		f.clients[token.Name] = &servertest.Client{URL: s.URL, Token: secret}
		return stored
	}
	all := strings.Join(scopes, " ")
	add(store.Token{Name: "expired", Scopes: all, AllClients: true, ExpiresAt: &past})
	add(store.Token{Name: "other client", Scopes: all, ClientIDs: []uuid.UUID{storetest.OtherClientID}})
	if _, err := s.Store.RevokeToken(t.Context(), nil, add(store.Token{Name: "revoked", Scopes: all, AllClients: true}).ID, false); err != nil {
		t.Fatal(err)
	}
	for _, scope := range scopes {
		others := slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return s == scope })
		add(store.Token{Name: "all but " + scope, Scopes: strings.Join(others, " "), AllClients: true})
	}
	for _, op := range operations {
		if name := tokenName(op.Scopes); f.clients[name] == nil {
			add(store.Token{Name: name, Scopes: strings.Join(op.Scopes, " "), AllClients: true})
		}
	}
	unknown, err := apitoken.New()
	if err != nil {
		t.Fatal(err)
	}
	f.clients["unknown"] = &servertest.Client{URL: s.URL, Token: unknown}
	f.seed(t)
	return f
}

// tokenName returns the name of the token that has exactly these scopes.
func tokenName(scopes []string) string { return "only " + strings.Join(scopes, " ") }

func (f *fixture) seed(t *testing.T) {
	t.Helper()
	data := store.Dataset{}
	for i, id := range spareApps {
		data.CatalogApps = append(data.CatalogApps, store.CatalogApp{
			ID: id, CanonicalName: fmt.Sprintf("Spare %d", i), CreatedAt: storetest.Now, UpdatedAt: storetest.Now,
		})
	}
	for i, id := range spareApps[2:] {
		data.Apps = append(data.Apps, store.App{
			ClientID: storetest.ClientID, ID: uuid.New(), CatalogAppID: id, ActorName: "seed", RequestID: "seed", IsFavorite: i == 0,
			CreatedAt: storetest.Now.Add(time.Duration(i) * time.Second), UpdatedAt: storetest.Now,
		})
	}
	data.Vendors = []store.Vendor{{ID: unused, Name: "Unused", CreatedAt: storetest.Now, UpdatedAt: storetest.Now}}
	data.Categories = []store.Category{{ID: unused, Name: "Unused", CreatedAt: storetest.Now, UpdatedAt: storetest.Now}}
	data.Clients = []store.Client{{
		ID: unused, Name: "Unused", Status: store.StatusSuspended, CreatedAt: storetest.Now, UpdatedAt: storetest.Now,
	}}
	for i := range 2 {
		name := fmt.Sprintf("Other %d", i)
		data.Vendors = append(data.Vendors, store.Vendor{ID: uuid.New(), Name: name, CreatedAt: storetest.Now, UpdatedAt: storetest.Now})
		data.Categories = append(data.Categories, store.Category{ID: uuid.New(), Name: name, CreatedAt: storetest.Now, UpdatedAt: storetest.Now})
	}
	for _, id := range tokenIDs {
		data.Tokens = append(data.Tokens, store.Token{
			ID: id, Name: "of an example", Hash: apitoken.Hash(id.String()), Scopes: "tokens:write", ClientIDs: []uuid.UUID{storetest.ClientID},
			CreatedAt: storetest.Now,
		})
	}
	for _, id := range webhookIDs { // of a client that no operation writes to, so that they are behind by the same all the time
		data.Webhooks = append(data.Webhooks, store.Webhook{
			ID: id, ClientID: &storetest.OtherClientID, URL: "http://127.0.0.1:9/", Status: store.WebhookDisabled, Secret: []byte{1},
			CreatedAt: storetest.Now, UpdatedAt: storetest.Now,
		})
	}
	if err := f.Store.Seed(t.Context(), data); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := f.Store.RecordWebhookTest(t.Context(), store.WebhookAttempt{
			WebhookID: webhookIDs[0], DeliveryID: uuid.New(), Type: "ping", AttemptedAt: storetest.Now.Add(time.Duration(i) * time.Second),
		}); err != nil {
			t.Fatal(err)
		}
	}
	for path, body := range map[string]string{
		"url-patterns":    `{"patterns":["https://a.example.com/*","https://b.example.com/*","https://c.example.com/*"]}`,
		"desktop-aliases": `{"aliases":["a.exe","b.exe","c.exe"]}`,
	} {
		target := "/v2/catalog-apps/" + storetest.CatalogID.String() + "/" + path
		if r := f.Send(t, servertest.Request{Method: "PUT", Target: target, Body: body}); r.Status != 204 {
			t.Fatalf("PUT %s: %d %s", target, r.Status, r.Body)
		}
	}
}

// base is a request of an operation that succeeds. A new object gets a unique name.
func (f *fixture) base(t *testing.T, op *Operation) Base {
	t.Helper()
	b := Base{Op: op}
	if op.Body != nil {
		var err error
		if b.Body, err = ParseObject(op.Example); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"name", "canonical_name"} {
		if b.Body.Get(name) != "" {
			f.serial++
			b.Body = b.Body.With(name, quote(fmt.Sprintf("New %d", f.serial)))
		}
	}
	switch op.ID {
	case "updateCatalogApp":
		b.Body = b.Body.With("description", quote(fmt.Sprintf("New %d", f.serial)))
	case "updateClient":
		b.Body = b.Body.With("name", quote(fmt.Sprintf("New %d", f.serial)))
	case "addApp":
		b.Body = b.Body.With("catalog_app_id", quote(spareApps[0].String()))
	case "importApps":
		b.Body = Object{{"canonical_name", `"Spare 2"`}, {"license_count", "50"}}
	case "createToken": // what a token with the scope of the operation alone may give
		b.Body = b.Body.With("scopes", `["tokens:write"]`)
	case "replayWebhook":
		b.Body = Object{{"since", `"2099-12-31T23:59:59Z"`}}
	case "deleteCatalogApp":
		b.Values = map[string]string{"catalog_app_id": spareApps[1].String()}
	case "deleteCatalogVendor":
		b.Values = map[string]string{"vendor_id": unused.String()}
	case "deleteCatalogCategory":
		b.Values = map[string]string{"category_id": unused.String()}
	case "deleteClient":
		b.Values = map[string]string{"client_id": unused.String()}
	}
	return b
}

// content is everything in the database.
func (f *fixture) content(t *testing.T) string {
	t.Helper()
	var all []string
	for _, table := range []string{
		"clients", "apps", "app_changes", "catalog_apps", "catalog_vendors", "catalog_categories", "catalog_app_categories",
		"catalog_url_patterns", "catalog_desktop_aliases", "catalog_state", "catalog_changes", "tokens", "token_clients", "webhooks",
		"webhook_deliveries",
	} {
		all = append(all, f.rows(t, table)...)
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

func (f *fixture) rows(t *testing.T, table string) (all []string) {
	t.Helper()
	rows, err := f.db.QueryContext(t.Context(), "SELECT * FROM "+table)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	for err == nil && rows.Next() {
		values, targets := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			targets[i] = &values[i]
		}
		err = rows.Scan(targets...)
		all = append(all, fmt.Sprint(table, values))
	}
	if err := errors.Join(err, rows.Err()); err != nil {
		t.Fatal(err)
	}
	return all
}

// prepare sets the field that a bulk operation writes to the opposite value, so that the operation changes it.
func (f *fixture) prepare(t *testing.T, op *Operation) {
	t.Helper()
	marks := map[string]string{
		"addFavorites": `{"is_favorite":false}`, "removeFavorites": `{"is_favorite":true}`, "approveApps": `{"is_approved":false}`,
		"rejectApps": `{"is_approved":true}`, "removeAppApprovals": `{"is_approved":true}`,
	}
	if mark := marks[op.ID]; mark != "" {
		f.Patch(t, "/v2/clients/"+storetest.ClientID.String()+"/apps/"+storetest.AppID.String(), mark)
	}
}

// makeRoom deletes the webhooks that the tests have created and advances the clock, so that one can be created or tested again.
func (f *fixture) makeRoom(t *testing.T, op *Operation) {
	t.Helper()
	switch op.ID {
	case "createWebhook":
		if _, err := f.db.ExecContext(t.Context(), "DELETE FROM webhooks WHERE created_by IS NOT NULL"); err != nil {
			t.Fatal(err)
		}
	case "testWebhook":
		f.Clock.Advance(10 * time.Second)
	}
}

// send sends the request of a case and checks the answer. A refusal has to say the same in problem details.
func (f *fixture) send(t *testing.T, op *Operation, c Case) *servertest.Response {
	t.Helper()
	f.makeRoom(t, op)
	send := f.clients[c.Client].Send
	if slices.Min(c.Want.Status) >= http.StatusBadRequest {
		send = f.clients[c.Client].SendBoth
	}
	r := send(t, c.Request)
	if err := c.Want.Check(r); err != nil {
		t.Errorf("%s, %s: %v\n%s %s %v %s\n%s", op.ID, c.Name, err, c.Request.Method, c.Request.Target, c.Request.Header, truncate(c.Request.Body), r.Body)
	}
	return r
}
