package server

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server/strictjson"
	"github.com/clientapps/clientapps/store"
)

// TestRenderedAppsAreWhatTheGeneratedTypesSay encodes apps through the generated types and by hand, and compares bytes.
func TestRenderedAppsAreWhatTheGeneratedTypesSay(t *testing.T) {
	t.Parallel()
	entries := []*store.CatalogApp{
		{ID: uuid.New(), CanonicalName: "Bare"},
		{
			ID: uuid.New(), CanonicalName: `<"Q&A">\ ` + "\u2028ß😀", Description: new(string), Vendor: &store.Vendor{ID: uuid.New(), Name: "A&B"},
			Categories: []store.Category{{ID: uuid.New(), Name: "x"}, {ID: uuid.New(), Name: "y"}},
			CreatedAt:  time.Date(2026, 1, 2, 3, 4, 5, 120e6, time.FixedZone("", 3600)),
		},
	}
	for _, entry := range entries {
		entry.Cacheable()
		for _, licenses := range []*int32{nil, new(int32), ptr32(2147483647)} {
			for i := range 4 {
				app := store.App{
					ID: uuid.New(), Catalog: entry, IsFavorite: i&1 > 0, IsApproved: i&2 > 0, LicenseCount: licenses,
					CreatedAt: time.Date(2026, 2, 24, 15, 0, 0, 0, time.UTC), UpdatedAt: time.Date(2026, 2, 24, 15, 0, 0, 7e6, time.FixedZone("", -3600)),
				}
				if got, want := appendApp(nil, app), encoded(t, generated(app)); string(got)+"\n" != want {
					t.Errorf("by hand\n%s\ngenerated\n%s", got, want)
				}
			}
		}
	}
}

func TestRenderedListsAreWhatTheGeneratedTypesSay(t *testing.T) {
	t.Parallel()
	entry := &store.CatalogApp{ID: uuid.New(), CanonicalName: "Bare"}
	entry.Cacheable()
	cursor, link := "abc_-", `</v2/x>; rel="next"`
	for _, rows := range [][]store.App{nil, {{Catalog: entry}}, {{Catalog: entry}, {Catalog: entry}}} {
		for _, next := range []*string{nil, &cursor} {
			body := appListBody{list: store.List[store.App]{Rows: rows, Total: 1 << 40}, cursor: next}
			if next != nil {
				body.link = &link
			}
			w := httptest.NewRecorder()
			if err := body.VisitListAppsResponse(w); err != nil {
				t.Fatal(err)
			}
			want := encoded(t, gen.AppList{Data: mapped(rows, generated), TotalCount: 1 << 40, NextCursor: next})
			if w.Body.String() != want || (w.Header().Get("Link") == link) != (next != nil) {
				t.Errorf("by hand\n%s\ngenerated\n%s", w.Body, want)
			}
		}
	}
}

func generated(a store.App) gen.App {
	return gen.App{
		ID: a.ID, CatalogApp: toAPICatalogApp(a.Catalog), IsFavorite: a.IsFavorite, IsApproved: a.IsApproved,
		LicenseCount: a.LicenseCount, CreatedAt: timestamp(a.CreatedAt), UpdatedAt: timestamp(a.UpdatedAt),
	}
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func ptr32(n int32) *int32 { return &n }

// patchSeeds are bodies near the border of what the fast path takes.
var patchSeeds = []string{
	`{}`, ` { } `, `{"is_favorite":true}`, `{"is_favorite":true,"is_approved":false,"license_count":50}`, `{"license_count":null}`,
	`{"license_count":0}`, `{"license_count":00}`, `{"license_count":-0}`, `{"license_count":2147483647}`, `{"license_count":2147483648}`,
	`{"license_count":50.0}`, `{"license_count":5e1}`, `{"license_count":"50"}`, `{"is_favorite":null}`, `{"is_favorite":truex}`,
	`{"is_favorite":true,"is_favorite":true}`, `{"is_favorite":true,}`, `{"is_favorite":true}x`, `{"is_favorite" : true , "license_count" : 1}`,
	`{"IS_FAVORITE":true}`, `{"is\u005ffavorite":true}`, `{"is_favorite":true}{}`, `[]`, `null`, ``, "\xef\xbb\xbf{}", `{"license_count":1 }`,
	`{"license_count":99999999999}`, `{"license_count":1x}`, "{\"is_favorite\":true}\x00", "{\t\"is_approved\"\n:\rtrue}",
}

// FuzzFastPatch holds the fast path to the strict parser and the validator: what it takes they take, and read alike.
func FuzzFastPatch(f *testing.F) {
	for _, seed := range patchSeeds {
		f.Add([]byte(seed))
	}
	operations, err := contract()
	if err != nil {
		f.Fatal(err)
	}
	op := operations["updateApp"]
	f.Fuzz(func(t *testing.T, body []byte) {
		fast, ok := scanAppPatch(body)
		if !ok {
			return
		}
		doc, err := strictjson.Parse(body, strictjson.Options{})
		if err != nil {
			t.Fatalf("%q: the strict parser says %v", body, err)
		}
		if err := op.body.VisitJSON(doc.Value); err != nil {
			t.Fatalf("%q: the validator says %v", body, err)
		}
		slow := fieldsOf(appFields)(t, doc.Value)
		if len(slow) != len(fast) {
			t.Fatalf("%q: %v and %v", body, fast, slow)
		}
		for column, value := range slow {
			if got, ok := fast[column]; !ok || got != value {
				t.Fatalf("%q: %v and %v", body, fast, slow)
			}
		}
	})
}

// TestFastPatchTakesOrdinaryBodies: it would be right to take none, and useless.
func TestFastPatchTakesOrdinaryBodies(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]bool{
		`{}`: true, `{"is_favorite":true}`: true, `{ "license_count" : 50 }`: true, `{"license_count":null,"is_approved":false}`: true,
		`{"license_count":50.0}`: false, `{"id":1}`: false,
	} {
		if _, ok := scanAppPatch([]byte(body)); ok != want {
			t.Errorf("%s: %v", body, ok)
		}
	}
}

// FuzzUUID holds isUUID to the contract's pattern.
func FuzzUUID(f *testing.F) {
	for _, seed := range []string{"f1a2b3c4-d5e6-7890-abcd-ef1234567890", "", "F1A2B3C4-D5E6-7890-ABCD-EF123456789G", strings.Repeat("-", 36)} {
		f.Add(seed)
	}
	doc, err := gen.GetSpec()
	if err != nil {
		f.Fatal(err)
	}
	schema := doc.Components.Schemas["UUID"].Value
	f.Fuzz(func(t *testing.T, text string) {
		if got, want := isUUID(text), schema.VisitJSON(text) == nil; got != want {
			t.Fatalf("%q: %v, the contract says %v", text, got, want)
		}
	})
}
