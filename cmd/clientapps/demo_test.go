package main

import (
	"strings"
	"testing"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/store"
)

// TestDemoCatalog holds the demo's apps to the contract's bounds for what a catalog app shows.
func TestDemoCatalog(t *testing.T) {
	t.Parallel()
	data, err := demoData()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := gen.GetSpec()
	if err != nil {
		t.Fatal(err)
	}
	schema := doc.Components.Schemas["CatalogApp"].Value
	names := map[string]bool{}
	for _, app := range data.CatalogApps {
		if key := store.FoldName(app.CanonicalName); names[key] {
			t.Errorf("%s stands twice", app.CanonicalName)
		} else {
			names[key] = true
		}
		for field, value := range map[string]any{
			"canonical_name": app.CanonicalName, "description": plain(app.Description), "display_colour": plain(app.DisplayColour),
			"logo": plain(app.Logo), "type": plain(app.Type),
		} {
			if err := schema.Properties[field].Value.VisitJSON(value); err != nil && value != nil {
				t.Errorf("%s, %s: %v", app.CanonicalName, field, err)
			}
		}
		if app.VendorID == nil {
			t.Errorf("%s has no vendor", app.CanonicalName)
		}
	}
	if len(data.CatalogApps) < 40 || len(data.Clients) != 2 {
		t.Errorf("%d apps, %d clients", len(data.CatalogApps), len(data.Clients))
	}
	for _, v := range data.Vendors {
		if v.URL != nil && !strings.HasPrefix(*v.URL, "https://") {
			t.Errorf("%s: %s", v.Name, *v.URL)
		}
	}
}

func plain(p *string) any {
	if p == nil {
		return nil
	}
	return *p
}
