package storetest

import (
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
)

// Ids of the objects of the reference page, and of a second client with an app.
var (
	ClientID   = uuid.MustParse("aa7cf840-9ca9-46a3-9778-9015d6580d50")
	AppID      = uuid.MustParse("f1a2b3c4-d5e6-7890-abcd-ef1234567890")
	CatalogID  = uuid.MustParse("a1b2c3d4-e5f6-7890-abcd-ef1234567890")
	VendorID   = uuid.MustParse("f6a7b8c9-d0e1-2345-fabc-678901234567")
	CategoryID = uuid.MustParse("a7b8c9d0-e1f2-3456-abcd-789012345678")

	OtherClientID = uuid.MustParse("bb7cf840-9ca9-46a3-9778-9015d6580d50")
	OtherAppID    = uuid.MustParse("b2a2b3c4-d5e6-7890-abcd-ef1234567890")

	// Now is the time of the page's example response.
	Now = time.Date(2026, 2, 24, 15, 0, 0, 0, time.UTC)
)

// Page returns the page's client with its app as it was before the page's requests, and another client with an app of the same catalog
// app.
func Page() store.Dataset {
	catalogued, changed := time.Date(2025, 6, 15, 10, 0, 0, 0, time.UTC), time.Date(2026, 2, 10, 9, 15, 0, 0, time.UTC)
	joined := time.Date(2026, 1, 15, 10, 0, 0, 0, time.UTC)
	client := func(id uuid.UUID, name string) store.Client {
		return store.Client{ID: id, Name: name, Status: "active", CreatedAt: joined, UpdatedAt: joined}
	}
	app := func(client, id uuid.UUID) store.App {
		return store.App{
			ClientID: client, ID: id, CatalogAppID: CatalogID, ActorName: "seed", RequestID: "seed",
			CreatedAt: joined, UpdatedAt: joined,
		}
	}
	return store.Dataset{
		Clients: []store.Client{client(ClientID, "Contoso Ltd."), client(OtherClientID, "Northwind Traders")},
		Vendors: []store.Vendor{{
			ID: VendorID, Name: "Salesforce, Inc.", URL: ptr("https://www.salesforce.com"),
			CreatedAt: catalogued, UpdatedAt: catalogued,
		}},
		Categories: []store.Category{{ID: CategoryID, Name: "Communication", CreatedAt: catalogued, UpdatedAt: catalogued}},
		CatalogApps: []store.CatalogApp{{
			ID: CatalogID, CanonicalName: "Slack", Description: ptr("A messaging and collaboration platform for teams"),
			DisplayColour: ptr("#4A154B"), Logo: ptr("https://cdn.example.com/logos/slack.png"), Type: ptr("desktop"),
			VendorID: &VendorID, CreatedAt: catalogued, UpdatedAt: changed,
		}},
		AppCategories: []store.CatalogAppCategory{{CatalogAppID: CatalogID, CategoryID: CategoryID}},
		Apps:          []store.App{app(ClientID, AppID), app(OtherClientID, OtherAppID)},
	}
}

func ptr[T any](v T) *T { return &v }
