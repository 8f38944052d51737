package server

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/store"
)

func toAPICatalogApp(a *store.CatalogApp) gen.CatalogApp {
	var vendor *gen.CatalogVendor
	if a.Vendor != nil {
		v := toAPIVendor(*a.Vendor)
		vendor = &v
	}
	return gen.CatalogApp{
		ID:            a.ID,
		CanonicalName: a.CanonicalName,
		Description:   a.Description,
		DisplayColour: a.DisplayColour,
		Logo:          a.Logo,
		Type:          a.Type,
		Vendor:        vendor,
		Categories:    mapped(a.Categories, toAPICategory),
		CreatedAt:     timestamp(a.CreatedAt),
		UpdatedAt:     timestamp(a.UpdatedAt),
	}
}

func toAPIVendor(v store.Vendor) gen.CatalogVendor {
	return gen.CatalogVendor{ID: v.ID, Name: v.Name, URL: v.URL}
}

func toAPICategory(c store.Category) gen.CatalogCategory {
	return gen.CatalogCategory{ID: c.ID, Name: c.Name}
}

func toAPISummary(s store.CatalogSummary) gen.CatalogSummary {
	return gen.CatalogSummary{Apps: count(s.Apps), Vendors: count(s.Vendors), Categories: count(s.Categories)}
}

func toAPIPattern(p store.URLPattern) gen.URLPattern {
	return gen.URLPattern{ID: p.ID, Pattern: p.Pattern}
}

func toAPIAlias(a store.DesktopAlias) gen.DesktopAlias {
	return gen.DesktopAlias{ID: a.ID, Alias: a.Alias}
}

func toAPIClient(c store.Client) gen.ClientOrganization {
	return gen.ClientOrganization{
		ID: c.ID, Name: c.Name, Status: gen.ClientOrganizationStatus(c.Status),
		CreatedAt: timestamp(c.CreatedAt), UpdatedAt: timestamp(c.UpdatedAt),
	}
}

func toAPIToken(t store.Token) gen.Token {
	return gen.Token{
		ID: t.ID, Name: t.Name, Scopes: scopes(t.Scopes), AllClients: t.AllClients, ClientIds: append([]gen.UUID{}, t.ClientIDs...),
		CreatedBy: t.CreatedBy, CreatedAt: timestamp(t.CreatedAt), ExpiresAt: timestampOrNull(t.ExpiresAt),
		LastUsedAt: timestampOrNull(t.LastUsedAt), RevokedAt: timestampOrNull(t.RevokedAt),
	}
}

func toAPITokenWithSecret(token store.Token, secret string) gen.TokenWithSecret {
	t := toAPIToken(token)
	return gen.TokenWithSecret{
		ID: t.ID, Name: t.Name, Scopes: t.Scopes, AllClients: t.AllClients, ClientIds: t.ClientIds, CreatedBy: t.CreatedBy,
		CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt, LastUsedAt: t.LastUsedAt, RevokedAt: t.RevokedAt, Secret: secret,
	}
}

// scopes returns the scopes of a token, which are separated by spaces. Unknown ones, of an older or a newer server, are left out.
func scopes(text string) []gen.TokenScope {
	found := []gen.TokenScope{}
	for _, scope := range Scopes() {
		if slices.Contains(strings.Fields(text), scope) {
			found = append(found, gen.TokenScope(scope))
		}
	}
	return found
}

func toAPIChange(c store.AppChange) gen.AppChange {
	return gen.AppChange{
		ID: c.ID(), Field: gen.AppChangeField(c.Field),
		OldValue: changeValue(c.OldValue), NewValue: changeValue(c.NewValue),
		Actor:     gen.Actor{ID: c.ActorID, Name: c.ActorName},
		RequestID: c.RequestID, ChangedAt: timestamp(c.ChangedAt),
	}
}

func toAPIFeedChange(c store.AppChange) gen.Change {
	change := gen.Change{
		ID: c.ID(), ClientID: c.ClientID, CatalogAppID: c.CatalogAppID, Field: gen.ChangeField(c.Field),
		OldValue: changeValue(c.OldValue), NewValue: changeValue(c.NewValue),
		Actor:     gen.Actor{ID: c.ActorID, Name: c.ActorName},
		RequestID: c.RequestID, ChangedAt: timestamp(c.ChangedAt),
	}
	if c.AppID != uuid.Nil {
		change.AppID = &c.AppID
	}
	if c.ActorName == "" { // the client was created by seeding, or before clients had a history
		change.Actor.Name, change.RequestID = "clientapps", "none"
	}
	return change
}

func toAPICatalogChange(c store.CatalogChange) gen.CatalogChange {
	change := gen.CatalogChange{
		ID: c.ID(), Entity: gen.CatalogChangeEntity(c.Entity), EntityID: c.EntityID, Field: gen.CatalogChangeField(c.Field),
		OldValue: changeValue(c.OldValue), NewValue: changeValue(c.NewValue),
		Actor:     gen.Actor{ID: c.ActorID, Name: c.ActorName},
		RequestID: c.RequestID, ChangedAt: timestamp(c.ChangedAt),
	}
	if c.ActorName == "" { // made by seeding, or by an older server that does not record the actor
		change.Actor.Name, change.RequestID = "clientapps", "none"
	}
	return change
}

// changeValue returns a value that the history stores as JSON.
func changeValue(text string) *json.RawMessage {
	value := json.RawMessage(text)
	return &value
}

// count converts the size of the catalog, which fits into memory and so into int32.
func count(n int) int32 { return int32(min(n, math.MaxInt32)) } //nolint:gosec // bounded by min

// timeLayout is the time format of the API: UTC with exactly three decimals.
const timeLayout = "2006-01-02T15:04:05.000Z"

func timestamp(t time.Time) gen.Timestamp { return t.UTC().Format(timeLayout) }

func timestampOrNull(t *time.Time) *gen.Timestamp {
	if t == nil {
		return nil
	}
	text := timestamp(*t)
	return &text
}
