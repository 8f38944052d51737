package server

import (
	"time"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/store"
)

func toAPIApp(a store.App) gen.App {
	return gen.App{
		ID:           a.ID,
		CatalogApp:   toAPICatalogApp(a.Catalog),
		IsFavorite:   a.IsFavorite,
		IsApproved:   a.IsApproved,
		LicenseCount: a.LicenseCount,
		CreatedAt:    timestamp(a.CreatedAt),
		UpdatedAt:    timestamp(a.UpdatedAt),
	}
}

func toAPICatalogApp(a *store.CatalogApp) gen.CatalogApp {
	categories := make([]gen.CatalogCategory, 0, len(a.Categories)) // empty is [], never null
	for _, c := range a.Categories {
		categories = append(categories, gen.CatalogCategory{ID: c.ID, Name: c.Name})
	}
	return gen.CatalogApp{
		ID:            a.ID,
		CanonicalName: a.CanonicalName,
		Description:   a.Description,
		DisplayColour: a.DisplayColour,
		Logo:          a.Logo,
		Type:          a.Type,
		Vendor:        toAPIVendor(a.Vendor),
		Categories:    categories,
		CreatedAt:     timestamp(a.CreatedAt),
		UpdatedAt:     timestamp(a.UpdatedAt),
	}
}

func toAPIVendor(v *store.Vendor) *gen.CatalogVendor {
	if v == nil {
		return nil
	}
	return &gen.CatalogVendor{ID: v.ID, Name: v.Name, URL: v.URL}
}

// timestamp is the one form of time in the API: UTC with exactly three decimals.
func timestamp(t time.Time) gen.Timestamp { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
