package store_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// exportData is a client with three pages of apps, and one with a single app.
func exportData() store.Dataset {
	data := store.Dataset{Clients: []store.Client{client("Alpha"), client("Beta")}}
	for i := range 1200 {
		entry := catalogApp(fmt.Sprintf("App %04d", i))
		data.CatalogApps = append(data.CatalogApps, entry)
		data.Apps = append(data.Apps, app("Alpha", entry.CanonicalName))
	}
	other := app("Beta", "App 0001")
	other.IsFavorite = true
	data.Apps = append(data.Apps, other)
	return data
}

// exportedNames reads an export to its end, or to its error.
func exportedNames(rows iter.Seq2[store.AppRow, error]) (names []string, err error) {
	for row, err := range rows {
		if err != nil {
			return names, err
		}
		names = append(names, row.Name)
	}
	return names, nil
}

var byName = store.Page{SortBy: store.ColumnCanonicalName}

// TestExportApps reads all apps of one client, and none of another.
func TestExportApps(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := openSeeded(t, url, exportData())
		names := must(exportedNames(s.ExportApps(t.Context(), idOf("Alpha"), store.AppFilter{}, byName)))(t)
		if len(names) != 1200 || !slices.IsSorted(names) {
			t.Errorf("the export has %d names, in order: %t", len(names), slices.IsSorted(names))
		}
		for row, err := range s.ExportApps(t.Context(), idOf("Beta"), store.AppFilter{IsFavorite: new(true)}, byName) {
			if err != nil {
				t.Fatal(err)
			}
			wantJSON(t, "the only row", row, store.AppRow{Name: "App 0001", Fields: store.Fields{
				store.ColumnIsFavorite: true, store.ColumnIsApproved: false, store.ColumnLicenseCount: nil,
			}})
		}
		_, err := exportedNames(s.ExportApps(t.Context(), idOf("nobody"), store.AppFilter{}, byName))
		wantError(t, err, &store.NotFoundError{Kind: store.KindClient, ID: idOf("nobody")})
		must(s.UpdateClient(t.Context(), idOf("Beta"), store.Fields{store.ColumnStatus: store.StatusSuspended}, alice, nil))(t)
		must(exportedNames(s.ExportApps(t.Context(), idOf("Beta"), store.AppFilter{}, byName)))(t) // which can still be read
		must(s.DeleteClient(t.Context(), idOf("Beta"), alice, nil))(t)
		_, err = exportedNames(s.ExportApps(t.Context(), idOf("Beta"), store.AppFilter{}, byName))
		wantError(t, err, &store.NotFoundError{Kind: store.KindClient, ID: idOf("Beta")})
	})
}

// TestExportIsStopped leaves an export in the middle, and cancels one. The connection is free again.
func TestExportIsStopped(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := openSeeded(t, url, exportData(), func(cfg *store.Config) { cfg.MaxConns = 1 })
		for range 3 {
			for _, err := range s.ExportApps(t.Context(), idOf("Alpha"), store.AppFilter{}, byName) {
				if err != nil {
					t.Fatal(err)
				}
				break
			}
			ctx, cancel := context.WithCancel(t.Context())
			read := 0
			var err error
			for _, err = range s.ExportApps(ctx, idOf("Alpha"), store.AppFilter{}, byName) {
				if read++; err == nil {
					cancel()
				}
			}
			if cancel(); !errors.Is(err, context.Canceled) || read > 1000 {
				t.Errorf("after %d rows the error is %v", read, err)
			}
		}
		must(s.GetClient(t.Context(), idOf("Alpha")))(t)
	})
}

// TestExportWaitsForItsShare holds the share of exports. A further export is unavailable; writes and reads are not.
func TestExportWaitsForItsShare(t *testing.T) {
	t.Parallel()
	s := openSeeded(t, storetest.Postgres(t), exportData(), func(cfg *store.Config) { cfg.MaxConns, cfg.Timeout = 4, 300*time.Millisecond })
	for _, err := range s.ExportApps(t.Context(), idOf("Alpha"), store.AppFilter{}, byName) {
		if err != nil {
			t.Fatal(err)
		}
		_, err := exportedNames(s.ExportApps(t.Context(), idOf("Beta"), store.AppFilter{}, byName))
		wantReason(t, err, store.ReasonShare)
		must(s.UpdateApp(t.Context(), appKey("Beta", "App 0001"), store.Fields{store.ColumnIsApproved: true}, alice, nil))(t)
		break
	}
	must(exportedNames(s.ExportApps(t.Context(), idOf("Beta"), store.AppFilter{}, byName)))(t)
}

// TestExportOverABrokenConnection breaks the connection before the first rows, which are then read again, and behind them: what was passed
// on is not passed on twice.
func TestExportOverABrokenConnection(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	proxy := newFaultProxy(t, url)
	openSeeded(t, url, exportData())
	for _, how := range []fault{dropRequest, dropResponse} {
		proxy.arm(`FROM "clients"`, how)
		s := storetest.Open(t, proxy.url) // a new connection, which sends the text of each statement once
		names := must(exportedNames(s.ExportApps(t.Context(), idOf("Alpha"), store.AppFilter{}, byName)))(t)
		if len(names) != 1200 {
			t.Errorf("the export has %d rows", len(names))
		}
		proxy.arm("(name_key, id) >", how)
		s = storetest.Open(t, proxy.url)
		names, err := exportedNames(s.ExportApps(t.Context(), idOf("Alpha"), store.AppFilter{}, byName))
		wantReason(t, err, store.ReasonDatabase)
		if len(names) != 500 {
			t.Errorf("before the error the export has %d rows", len(names))
		}
	}
	if n := proxy.count(); n != 4 {
		t.Errorf("the connection broke %d times", n)
	}
}
