package store_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// TestImportAppsHoldsUpItsClientAlone sends requests during an import that has all of its locks. Requests of other clients succeed at once.
// Writes of the import's own client fail because its apps are locked. On SQLite, which has one writer, all reads succeed.
func TestImportAppsHoldsUpItsClientAlone(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		data := storetest.Page()
		data.CatalogApps = append(data.CatalogApps, catalogApp("Zoom"), catalogApp("Figma"))
		importer := openSeeded(t, url, data)
		others := openWithoutPolling(t, url, func(cfg *store.Config) { cfg.LockTimeout = 300 * time.Millisecond })
		other := get(t, others, otherApp)
		worked := 0
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		meanwhile := func(int, int) {
			worked++
			get(t, others, otherApp)
			get(t, others, pageApp)
			if err := others.Ready(ctx); err != nil {
				t.Error(err)
			}
			if strings.HasPrefix(url, "sqlite") {
				return
			}
			match := &store.IfMatch{Tags: []string{other.ETag()}}
			must(others.UpdateApp(ctx, otherApp, store.Fields{store.ColumnLicenseCount: int32(1)}, alice, match))(t)
			must(bulkSet(ctx, others, otherApp.ClientID, []uuid.UUID{otherApp.ID}, store.ColumnIsFavorite, true, alice))(t)
			must(others.AddApp(ctx, otherApp.ClientID, idOf("Zoom"), nil, alice))(t)
			_, err := bulkSet(ctx, others, pageApp.ClientID, []uuid.UUID{pageApp.ID}, store.ColumnIsFavorite, true, alice)
			wantReason(t, err, store.ReasonLock)
			_, err = others.AddApp(ctx, pageApp.ClientID, idOf("Figma"), nil, alice)
			wantReason(t, err, store.ReasonLock)
		}
		rows := appRows(store.AppRow{Name: "Slack", Fields: store.Fields{store.ColumnLicenseCount: int32(7)}})
		must(importer.ImportApps(t.Context(), pageApp.ClientID, rows, alice, store.ImportOptions{Progress: meanwhile}))(t)
		if worked != 1 {
			t.Errorf("requests ran %d times during the import", worked)
		}
		if got := get(t, others, pageApp); got.LicenseCount == nil || *got.LicenseCount != 7 || got.IsFavorite {
			t.Errorf("the imported app is %s", asJSON(t, got))
		}
	})
}

// TestImportTimeIsBounded runs an import that blocks other writers for too long. It fails, and nothing is written.
func TestImportTimeIsBounded(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		s := openSeeded(t, url, storetest.Page())
		db := storetest.SQL(t, url)
		before := allRows(t, db)
		tooLong := store.ImportOptions{LockTime: 100 * time.Millisecond, Progress: func(int, int) { time.Sleep(200 * time.Millisecond) }}
		names := numbered(1200) // three batches
		_, err := s.ImportCatalog(t.Context(), catalogRows(names...), alice, tooLong)
		wantError(t, err, &store.ImportTimeError{Limit: tooLong.LockTime})
		wantJSON(t, "the database", allRows(t, db), before)

		must(s.ImportCatalog(t.Context(), catalogRows(names...), alice, store.ImportOptions{}))(t)
		before = allRows(t, db)
		var apps []store.AppRow
		for _, row := range names {
			apps = append(apps, store.AppRow{Name: row.Fields[store.ColumnCanonicalName].(string)})
		}
		_, err = s.ImportApps(t.Context(), pageApp.ClientID, appRows(apps...), alice, tooLong)
		wantError(t, err, &store.ImportTimeError{Limit: tooLong.LockTime})
		wantJSON(t, "the database", allRows(t, db), before)
		must(s.ImportApps(t.Context(), pageApp.ClientID, appRows(apps...), alice, store.ImportOptions{}))(t)
	})
}
