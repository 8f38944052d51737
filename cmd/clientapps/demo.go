package main

import (
	"context"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/apitoken"
	"github.com/clientapps/clientapps/webhook"
)

// demoToken is only accepted with --demo.
const demoToken = "demo-token"

const demoBanner = `
DEMO: example data is loaded, and everybody on this machine can use the token demo-token. Try:

curl -X PATCH "%[1]s://%[2]s/v2/clients/aa7cf840-9ca9-46a3-9778-9015d6580d50/apps/f1a2b3c4-d5e6-7890-abcd-ef1234567890" \
  -H "Authorization: Bearer demo-token" \
  -H "Content-Type: application/json" \
  -d '{"is_favorite": true}'

or, with this program:

CLIENTAPPS_URL=%[1]s://%[2]s CLIENTAPPS_TOKEN=demo-token %[3]s api update-app --client-id aa7cf840-9ca9-46a3-9778-9015d6580d50 --app-id f1a2b3c4-d5e6-7890-abcd-ef1234567890 --is-favorite true

or open %[1]s://%[2]s/docs

`

//go:embed demo/catalog.ndjson
var demoCatalog string

// The ids in the API's reference page.
var referenceIDs = map[string]uuid.UUID{
	"client/Contoso Ltd.":     uuid.MustParse("aa7cf840-9ca9-46a3-9778-9015d6580d50"),
	"app/Contoso Ltd./Slack":  uuid.MustParse("f1a2b3c4-d5e6-7890-abcd-ef1234567890"),
	"catalog/Slack":           uuid.MustParse("a1b2c3d4-e5f6-7890-abcd-ef1234567890"),
	"vendor/Salesforce, Inc.": uuid.MustParse("f6a7b8c9-d0e1-2345-fabc-678901234567"),
	"category/Communication":  uuid.MustParse("a7b8c9d0-e1f2-3456-abcd-789012345678"),
}

// unusedByDemo are catalog apps that no client has. Examples of the contract add the first two and delete the third.
var unusedByDemo = []string{"Xero", "Zendesk", "Trello"}

// demoID returns the same id at every start: the reference page's, or one derived from the name.
func demoID(name string) uuid.UUID {
	if id, ok := referenceIDs[name]; ok {
		return id
	}
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("clientapps:demo:"+name))
}

// demoDefaults are the defaults of settings that differ with --demo: everybody uses the same token, and tries webhooks on this machine.
// The key encrypts the secrets of the demo alone.
var demoDefaults = map[string]string{
	"rate-limit": "0", "webhook-allow-private": "true",
	"webhook-key": base64.StdEncoding.EncodeToString([]byte("the key of the demo, not secret!")),
}

// loadDemo adds the example data, as before the reference page's requests. It keeps existing rows. The keys encrypt the secrets of its
// webhooks.
func loadDemo(ctx context.Context, s *store.Store, keys webhook.Keys) error {
	data, err := demoData()
	if err == nil && keys.Enabled() {
		data.Webhooks, err = demoWebhooks(keys)
	}
	if err != nil {
		return fmt.Errorf("demo data: %w", err)
	}
	return s.Seed(ctx, data)
}

type demoApp struct {
	CanonicalName string   `json:"canonical_name"`
	Description   *string  `json:"description"`
	DisplayColour *string  `json:"display_colour"`
	Logo          *string  `json:"logo"`
	Type          *string  `json:"type"`
	Vendor        string   `json:"vendor"`
	VendorURL     *string  `json:"vendor_url"`
	Categories    []string `json:"categories"`
}

// demoActor is the author of the example data in the history.
const demoActor = "clientapps demo data"

// demoData returns a catalog of well-known apps, a vendor without one and a category without one. The first client has all of the
// apps, the second every third, the third, which is suspended, too.
func demoData() (store.Dataset, error) {
	catalogAdded, catalogChanged := utc(2025, 6, 15, 10, 0), utc(2026, 2, 10, 9, 15)
	clientsAdded := utc(2026, 1, 15, 10, 0)
	names := []string{"Contoso Ltd.", "Northwind Traders", "Litware, Inc."}
	var data store.Dataset
	for _, name := range names {
		data.Clients = append(data.Clients, store.Client{
			ID: demoID("client/" + name), Name: name, Status: store.StatusActive, CreatedAt: clientsAdded, UpdatedAt: clientsAdded,
			ActorID: demoID("actor/" + demoActor), ActorName: demoActor, RequestID: "demo",
		})
	}
	data.Clients[2].Status = store.StatusSuspended
	data.Vendors = []store.Vendor{{ID: demoID("vendor/Tailspin Toys"), Name: "Tailspin Toys", CreatedAt: catalogAdded, UpdatedAt: catalogAdded}}
	data.Categories = []store.Category{{ID: demoID("category/Games"), Name: "Games", CreatedAt: catalogAdded, UpdatedAt: catalogAdded}}
	data.Tokens = demoTokens(clientsAdded)
	seen := map[string]bool{}
	lines := json.NewDecoder(strings.NewReader(demoCatalog))
	lines.DisallowUnknownFields()
	for n := 0; ; n++ {
		var app demoApp
		if err := lines.Decode(&app); errors.Is(err, io.EOF) {
			return data, nil
		} else if err != nil {
			return store.Dataset{}, err
		}
		vendor, id := demoID("vendor/"+app.Vendor), demoID("catalog/"+app.CanonicalName)
		if !seen["vendor/"+app.Vendor] {
			seen["vendor/"+app.Vendor] = true
			data.Vendors = append(data.Vendors, store.Vendor{
				ID: vendor, Name: app.Vendor, URL: app.VendorURL, CreatedAt: catalogAdded, UpdatedAt: catalogAdded,
			})
		}
		for _, name := range app.Categories {
			category := demoID("category/" + name)
			if !seen["category/"+name] {
				seen["category/"+name] = true
				data.Categories = append(data.Categories, store.Category{
					ID: category, Name: name, CreatedAt: catalogAdded, UpdatedAt: catalogAdded,
				})
			}
			data.AppCategories = append(data.AppCategories, store.CatalogAppCategory{CatalogAppID: id, CategoryID: category})
		}
		data.CatalogApps = append(data.CatalogApps, store.CatalogApp{
			ID: id, CanonicalName: app.CanonicalName, Description: app.Description, DisplayColour: app.DisplayColour,
			Logo: app.Logo, Type: app.Type, VendorID: &vendor, CreatedAt: catalogAdded, UpdatedAt: catalogChanged,
		})
		for i, name := range names {
			if (i == 0 || n%3 == 0) && !slices.Contains(unusedByDemo, app.CanonicalName) {
				data.Apps = append(data.Apps, store.App{
					ClientID: demoID("client/" + name), ID: demoID("app/" + name + "/" + app.CanonicalName), CatalogAppID: id,
					ActorID: demoID("actor/" + demoActor), ActorName: demoActor, RequestID: "demo",
					CreatedAt: clientsAdded, UpdatedAt: clientsAdded,
				})
			}
		}
	}
}

// demoTokens returns the demo token, and two for examples to rotate and revoke: nobody has their secrets.
func demoTokens(clientsAdded time.Time) []store.Token {
	used, contoso := utc(2026, 2, 24, 2, 0), []uuid.UUID{demoID("client/Contoso Ltd.")}
	return []store.Token{
		{
			ID: demoID("token/nightly sync"), Name: "nightly sync", Hash: apitoken.Hash("nightly sync"), ClientIDs: contoso,
			Scopes: "apps:read apps:write", CreatedAt: clientsAdded.AddDate(0, 0, -5), LastUsedAt: &used,
		},
		{
			ID: demoID("token/demo"), Name: "demo", Hash: apitoken.Hash(demoToken), AllClients: true,
			Scopes: strings.Join(server.Scopes(), " "), CreatedAt: clientsAdded,
		},
		{
			ID: demoID("token/retired script"), Name: "retired script", Hash: apitoken.Hash("retired script"), ClientIDs: contoso,
			Scopes: "apps:read", CreatedAt: clientsAdded.AddDate(0, 0, 5),
		},
	}
}

// demoWebhooks returns a webhook for examples to change, and one to delete. They deliver nothing, since nobody listens there.
func demoWebhooks(keys webhook.Keys) ([]store.Webhook, error) {
	client, createdAt := demoID("client/Contoso Ltd."), utc(2026, 1, 20, 10, 0)
	description := "Port 9 is closed. Set the url of your receiver, and status active"
	hooks := []store.Webhook{
		{ID: demoID("webhook/inventory"), Description: &description, CreatedAt: createdAt},
		{ID: demoID("webhook/retired"), CreatedAt: createdAt.AddDate(0, 0, 1)},
	}
	for i := range hooks {
		sealed, err := keys.Seal(hooks[i].ID, webhook.NewSecret())
		if err != nil {
			return nil, err
		}
		hooks[i].ClientID, hooks[i].URL, hooks[i].Status = &client, "http://127.0.0.1:9/clientapps", store.WebhookDisabled
		hooks[i].Fields = "client_status"
		hooks[i].Secret, hooks[i].UpdatedAt = sealed, hooks[i].CreatedAt
	}
	return hooks, nil
}

func utc(year int, month time.Month, day, hour, minute int) time.Time {
	return time.Date(year, month, day, hour, minute, 0, 0, time.UTC)
}
