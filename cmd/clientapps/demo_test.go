package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/store/casefold"
	"github.com/clientapps/clientapps/store/storetest"
)

// TestDemoData lists the demo data with a client that checks every answer against the contract.
func TestDemoData(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		demo := startServe(t, url, "--demo").as("demo-token")
		type entry struct {
			CanonicalName string `json:"canonical_name"`
			Description   *string
			Type          *string
			Vendor        *struct{ URL *string }
			Categories    []struct{ Name string }
		}
		var catalog struct {
			Data       []entry
			TotalCount int `json:"total_count"`
		}
		got := demo.Get(t, "/v2/catalog-apps?page_size=500")
		if err := json.Unmarshal([]byte(got.Body), &catalog); err != nil {
			t.Fatal(err)
		}
		lines := strings.Count(demoCatalog, "\n")
		if got.Status != http.StatusOK || len(catalog.Data) != lines || catalog.TotalCount != lines || lines < 40 {
			t.Errorf("%d with %d apps of %d, %d lines", got.Status, len(catalog.Data), catalog.TotalCount, lines)
		}
		names := map[string]bool{}
		for _, app := range catalog.Data {
			if key := casefold.Name(app.CanonicalName); names[key] {
				t.Errorf("%s occurs twice", app.CanonicalName)
			} else {
				names[key] = true
			}
			if app.Description == nil || app.Type == nil || len(app.Categories) == 0 || app.Vendor == nil {
				t.Errorf("%+v lacks a field", app)
			} else if url := app.Vendor.URL; url != nil && !strings.HasPrefix(*url, "https://") {
				t.Errorf("%s: %s", app.CanonicalName, *url)
			}
		}

		var clients struct{ Data []struct{ ID, Name string } }
		if err := json.Unmarshal([]byte(demo.Get(t, "/v2/clients").Body), &clients); err != nil {
			t.Fatal(err)
		}
		if len(clients.Data) != 3 || clients.Data[0].ID != storetest.ClientID.String() || clients.Data[0].Name != "Contoso Ltd." {
			t.Fatalf("%+v", clients)
		}
		for i, want := range []int{lines - len(unusedByDemo), (lines + 2) / 3, (lines + 2) / 3} {
			var apps struct {
				Data []struct {
					IsFavorite   bool `json:"is_favorite"`
					IsApproved   bool `json:"is_approved"`
					LicenseCount *int `json:"license_count"`
				}
			}
			got := demo.Get(t, "/v2/clients/"+clients.Data[i].ID+"/apps?page_size=500")
			if err := json.Unmarshal([]byte(got.Body), &apps); err != nil {
				t.Fatal(err)
			}
			if len(apps.Data) != want {
				t.Errorf("%s has %d apps, not %d", clients.Data[i].Name, len(apps.Data), want)
			}
			for _, app := range apps.Data {
				if app.IsFavorite || app.IsApproved || app.LicenseCount != nil {
					t.Errorf("%s starts with %+v", clients.Data[i].Name, app)
				}
			}
		}
	})
}
