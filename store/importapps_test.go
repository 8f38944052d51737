package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// importer is the author of imports.
var importer = store.Actor{ID: idOf("importer"), Name: "importer", RequestID: "import-1"}

func appRows(rows ...store.AppRow) iter.Seq2[store.AppRow, error] {
	return func(yield func(store.AppRow, error) bool) {
		for i, row := range rows {
			row.Line = i + 1
			if !yield(row, nil) {
				return
			}
		}
	}
}

// importData returns two clients and a catalog. Alpha has Slack and Zoom, Beta has Slack.
func importData() store.Dataset {
	zoom := app("Alpha", "Zoom")
	zoom.IsFavorite, zoom.LicenseCount = true, new(int32(5))
	return store.Dataset{
		Clients:     []store.Client{client("Alpha"), client("Beta")},
		CatalogApps: []store.CatalogApp{catalogApp("Slack"), catalogApp("Zoom"), catalogApp("Figma"), catalogApp("Jira")},
		Apps:        []store.App{app("Alpha", "Slack"), zoom, app("Beta", "Slack")},
	}
}

// appsByName returns a client's apps as text, by name.
func appsByName(t *testing.T, s *store.Store, name string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, a := range must(s.ListApps(t.Context(), idOf(name), store.AppFilter{}, fullPage(store.ColumnCanonicalName)))(t).Rows {
		licenses := "none"
		if a.LicenseCount != nil {
			licenses = fmt.Sprint(*a.LicenseCount)
		}
		found[a.Catalog.CanonicalName] = fmt.Sprintf("favorite %v, approved %v, licenses %s, version %d, minute %.0f",
			a.IsFavorite, a.IsApproved, licenses, a.Version, a.UpdatedAt.Sub(storetest.Now).Minutes())
	}
	return found
}

func TestImportApps(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		s := openSeeded(t, url, importData(), withClock(clock))
		clock.Advance(time.Minute)
		rows := []store.AppRow{
			{Name: "FIGMA", Fields: store.Fields{store.ColumnIsApproved: true, store.ColumnLicenseCount: int32(2147483647)}},
			{Name: "jira"},
			{Name: "Zoom", Fields: store.Fields{store.ColumnIsApproved: true, store.ColumnLicenseCount: nil}},
			{Name: "Slack", Fields: store.Fields{store.ColumnIsFavorite: false, store.ColumnLicenseCount: nil}},
		}
		db := storetest.SQL(t, url)
		before := allRows(t, db)
		want := store.ImportResult{Created: 2, Updated: 1, Unchanged: 1}
		dry := must(s.ImportApps(store.DryRun(t.Context()), idOf("Alpha"), appRows(rows...), importer, store.ImportOptions{}))(t)
		wantJSON(t, "the result of a dry run", dry, want)
		if !reflect.DeepEqual(allRows(t, db), before) {
			t.Error("the dry run wrote something")
		}
		result := must(s.ImportApps(t.Context(), idOf("Alpha"), appRows(rows...), importer, store.ImportOptions{}))(t)
		wantJSON(t, "the result", result, want)
		wantJSON(t, "Alpha's apps", appsByName(t, s, "Alpha"), map[string]string{
			"Slack": "favorite false, approved false, licenses none, version 1, minute 0",
			"Zoom":  "favorite true, approved true, licenses none, version 2, minute 1",
			"Figma": "favorite false, approved true, licenses 2147483647, version 1, minute 1",
			"Jira":  "favorite false, approved false, licenses none, version 1, minute 1",
		})
		wantJSON(t, "Beta's apps", appsByName(t, s, "Beta"), map[string]string{
			"Slack": "favorite false, approved false, licenses none, version 1, minute 0",
		})

		zoom, at := appKey("Alpha", "Zoom"), clock.Now()
		wantJSON(t, "Zoom's history", history(t, s, zoom)[:2], []store.AppChange{
			change(zoom, 2, "license_count", "5", "null", importer, at),
			change(zoom, 2, "is_approved", "false", "true", importer, at),
		})
		figma := store.AppKey{ClientID: idOf("Alpha"), ID: queryOne[uuid.UUID](t, db, "SELECT id FROM apps WHERE name_key = 'figma'")}
		wantJSON(t, "Figma's history", history(t, s, figma), []store.AppChange{
			change(figma, 1, "license_count", "null", "2147483647", importer, at),
			change(figma, 1, "is_approved", "false", "true", importer, at),
			change(figma, 1, "app", "null", `"`+idOf("Figma").String()+`"`, importer, at),
		})

		written := allRows(t, db)
		clock.Advance(time.Minute)
		result = must(s.ImportApps(t.Context(), idOf("Alpha"), appRows(rows...), importer, store.ImportOptions{}))(t)
		wantJSON(t, "the second result", result, store.ImportResult{Unchanged: 4})
		if !reflect.DeepEqual(allRows(t, db), written) {
			t.Error("the second import of the same rows wrote something")
		}
	})
}

func TestImportAppsRefusals(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := openSeeded(t, url, importData())
		db := storetest.SQL(t, url)
		before := allRows(t, db)
		rows := []store.AppRow{
			{Name: "Figma"}, {Name: "Nobody's"}, {Name: "Slack", Fields: store.Fields{store.ColumnIsFavorite: true}}, {Name: "fIGMA"},
		}
		_, err := s.ImportApps(t.Context(), idOf("Alpha"), appRows(rows...), importer, store.ImportOptions{})
		wantError(t, err, &store.ImportError{Total: 2, Rows: []store.RowError{
			{Line: 2, Field: "canonical_name", Message: `canonical_name "Nobody's" is not in the catalog`},
			{Line: 4, Field: "canonical_name", Message: `canonical_name "fIGMA" is on line 1 already`},
		}})
		unread := func(func(store.AppRow, error) bool) { t.Error("rows are read for a client that does not exist") }
		_, err = s.ImportApps(t.Context(), idOf("Gamma"), unread, importer, store.ImportOptions{})
		wantError(t, err, &store.NotFoundError{Kind: store.KindClient, ID: idOf("Gamma")})
		if !reflect.DeepEqual(allRows(t, db), before) {
			t.Error("a refused import wrote something")
		}
	})
}

// TestImportAppsInBatches imports more rows than a batch has, for a client that has some of the apps.
func TestImportAppsInBatches(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := openSeeded(t, url, store.Dataset{Clients: []store.Client{client("Alpha")}})
		must(s.ImportCatalog(t.Context(), catalogRows(numbered(1300)...), alice, store.ImportOptions{}))(t)
		var rows []store.AppRow
		for i, r := range numbered(1300) {
			name, _ := r.Fields[store.ColumnCanonicalName].(string)
			rows = append(rows, store.AppRow{Name: name, Fields: store.Fields{store.ColumnLicenseCount: int32(i)}})
		}
		for _, step := range []struct {
			rows []store.AppRow
			want store.ImportResult
		}{
			{rows[:700], store.ImportResult{Created: 700}},
			{rows, store.ImportResult{Created: 600, Unchanged: 700}},
			{rows, store.ImportResult{Unchanged: 1300}},
		} {
			result := must(s.ImportApps(t.Context(), idOf("Alpha"), appRows(step.rows...), importer, store.ImportOptions{}))(t)
			wantJSON(t, "the result", result, step.want)
		}
		db := storetest.SQL(t, url)
		if n := queryOne[int](t, db, "SELECT count(*) FROM apps AS a JOIN catalog_apps AS c ON c.id = a.catalog_app_id "+
			"WHERE a.name_key = c.name_key AND c.name_key = 'app ' || substr(CAST(100001 + a.license_count AS text), 2)"); n != 1300 {
			t.Errorf("%d apps have the name and the licenses of their row, want 1300", n)
		}
	})
}

// TestImportAppsBesideOtherWrites imports apps while they are written in other ways. No call fails, and no write is lost.
func TestImportAppsBesideOtherWrites(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := openSeeded(t, url, importData())
		rows := []store.AppRow{
			{Name: "Zoom", Fields: store.Fields{store.ColumnIsApproved: true}}, {Name: "Jira"}, {Name: "Slack"}, {Name: "Figma"},
		}
		var group sync.WaitGroup
		for round := range 6 {
			group.Go(func() {
				if _, err := s.ImportApps(t.Context(), idOf("Alpha"), appRows(rows...), importer, store.ImportOptions{}); err != nil {
					t.Error("import:", err)
				}
			})
			group.Go(func() {
				fields := store.Fields{store.ColumnLicenseCount: int32(100 + round)}
				if _, err := s.UpdateApp(t.Context(), appKey("Alpha", "Zoom"), fields, alice, nil); err != nil {
					t.Error("update:", err)
				}
			})
			group.Go(func() {
				ids := []uuid.UUID{appKey("Alpha", "Zoom").ID, appKey("Alpha", "Slack").ID}
				if _, err := bulkSet(t.Context(), s, idOf("Alpha"), ids, store.ColumnIsFavorite, round%2 == 0, alice); err != nil {
					t.Error("bulk:", err)
				}
			})
			group.Go(func() {
				conflict := (*store.ConflictError)(nil)
				_, err := s.AddApp(t.Context(), idOf("Alpha"), idOf("Jira"), nil, alice)
				if err != nil && !errors.As(err, &conflict) {
					t.Error("add:", err)
				}
			})
		}
		group.Wait()
		found := appsByName(t, s, "Alpha")
		if len(found) != 4 {
			t.Errorf("Alpha has %v, want four apps", found)
		}
		key := appKey("Alpha", "Zoom")
		zoom := must(s.GetApp(t.Context(), key))(t)
		if !zoom.IsApproved || zoom.LicenseCount == nil || *zoom.LicenseCount < 100 {
			t.Errorf("Zoom is %s", asJSON(t, zoom))
		}
		// Each version except the seeded one is in the history, so no write overwrote another.
		versions := map[int64]bool{1: true}
		for _, c := range history(t, s, key) {
			versions[c.Version] = true
		}
		if len(versions) != int(zoom.Version) {
			t.Errorf("Zoom has version %d, and %d versions in its history", zoom.Version, len(versions))
		}
	})
}

// TestImportAppsHoldsTheClient changes and adds apps after an import has read the client's apps and before it writes them. Both wait for
// the import. On SQLite there is one writer at a time.
func TestImportAppsHoldsTheClient(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	s, db := openSeeded(t, url, importData()), storetest.SQL(t, url)
	for _, statement := range []string{
		"CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END $$",
		"CREATE TRIGGER gate BEFORE INSERT ON apps FOR EACH ROW WHEN (NEW.name_key = 'figma') EXECUTE FUNCTION gate()",
	} {
		must(db.ExecContext(t.Context(), statement))(t)
	}
	var gates []*sql.Conn // of each machine
	for _, node := range append(storetest.Workers(url), url) {
		gate := must(storetest.SQL(t, node).Conn(t.Context()))(t)
		must(gate.ExecContext(t.Context(), "SELECT pg_advisory_lock(1)"))(t)
		gates = append(gates, gate)
	}
	var group sync.WaitGroup
	rows := []store.AppRow{{Name: "Figma"}, {Name: "Zoom", Fields: store.Fields{store.ColumnIsApproved: true}}, {Name: "Jira"}}
	group.Go(func() {
		result, err := s.ImportApps(t.Context(), idOf("Alpha"), appRows(rows...), importer, store.ImportOptions{})
		if want := (store.ImportResult{Created: 2, Updated: 1}); err != nil || result != want {
			t.Errorf("the import gives %+v, %v, want %+v", result, err, want)
		}
	})
	waitForLocks(t, db, 1)
	group.Go(func() {
		updated, err := s.UpdateApp(t.Context(), appKey("Alpha", "Zoom"), store.Fields{store.ColumnLicenseCount: int32(7)}, alice, nil)
		if err != nil || !updated.IsApproved || *updated.LicenseCount != 7 || updated.Version != 3 {
			t.Errorf("the update gives %s, %v", asJSON(t, updated), err)
		}
	})
	waitForLocks(t, db, 2)
	group.Go(func() {
		conflict := (*store.ConflictError)(nil)
		if _, err := s.AddApp(t.Context(), idOf("Alpha"), idOf("Jira"), nil, alice); !errors.As(err, &conflict) {
			t.Errorf("adding an app that the import adds gives %v, want a conflict", err)
		}
	})
	waiting := 3
	if storetest.OnCitus() {
		waiting = 2 // there, a patch waits briefly, again and again
	}
	waitForLocks(t, db, waiting)
	for _, gate := range gates {
		must(gate.ExecContext(t.Context(), "SELECT pg_advisory_unlock(1)"))(t)
	}
	group.Wait()
}
