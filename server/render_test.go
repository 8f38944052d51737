package server

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/store"
)

// TestRenderedAppsAreWhatTheGeneratedTypesSay compares the hand-written JSON of apps with the encoding of the generated types,
// byte for byte.
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
		entry.InitEncoded()
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
	entry.InitEncoded()
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

func TestRenderedBulkResultsAreWhatTheGeneratedTypesSay(t *testing.T) {
	t.Parallel()
	outcomes := []error{nil, &store.NotFoundError{}, &store.PreconditionError{}, store.ErrNotAttempted}
	for mask := range 1 << 6 {
		body, want := bulkBody{}, gen.BulkResult{Succeeded: []gen.UUID{}, Failed: []gen.BulkFailure{}}
		for i := range 3 {
			id, outcome := uuid.New(), outcomes[mask>>(2*i)&3]
			body.updates, body.outcomes = append(body.updates, store.AppUpdate{ID: id}), append(body.outcomes, outcome)
			if outcome == nil {
				want.Succeeded = append(want.Succeeded, id)
			} else {
				want.Failed = append(want.Failed, bulkFailure(id, outcome))
			}
		}
		w := httptest.NewRecorder()
		if err := body.VisitUpdateAppsResponse(w); err != nil || w.Body.String() != encoded(t, want) {
			t.Errorf("by hand %s, generated %s, error %v", w.Body, encoded(t, want), err)
		}
	}
}
