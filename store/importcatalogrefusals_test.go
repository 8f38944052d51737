package store_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// wantRefused runs an import that must fail and change nothing, and returns its error.
func wantRefused(t *testing.T, s *store.Store, url string, rows iter.Seq2[store.CatalogRow, error]) error {
	t.Helper()
	db := storetest.SQL(t, url)
	before := allRows(t, db)
	result, err := s.ImportCatalog(t.Context(), rows, alice, store.ImportOptions{})
	if err == nil {
		t.Errorf("the import succeeded: %+v", result)
	}
	if !reflect.DeepEqual(allRows(t, db), before) {
		t.Error("a failed import wrote something")
	}
	return err
}

func TestImportCatalogIsAllOrNothing(t *testing.T) {
	t.Parallel()
	full := errors.New("the disk is on fire")
	storetest.Each(t, func(t *testing.T, url string) {
		s := openSeeded(t, url, storetest.Page())
		rows := append([]store.CatalogRow{slack()}, numbered(1200)...)
		then := func(last error) iter.Seq2[store.CatalogRow, error] {
			return func(yield func(store.CatalogRow, error) bool) {
				for row, err := range catalogRows(rows...) {
					if !yield(row, err) {
						return
					}
				}
				yield(store.CatalogRow{}, last)
			}
		}
		err := wantRefused(t, s, url, then(&store.RowError{Line: 1202, Message: "display_colour must be a colour as #RRGGBB"}))
		wantError(t, err, &store.ImportError{Total: 1, Rows: []store.RowError{
			{Line: 1202, Message: "display_colour must be a colour as #RRGGBB"},
		}})
		if err := wantRefused(t, s, url, then(full)); !errors.Is(err, full) {
			t.Errorf("error is %v, want that of the source", err)
		}
		wantError(t, wantRefused(t, s, url, catalogRows(append(rows, catalogRow("aPP 00700", nil))...)), &store.ImportError{Total: 1, Rows: []store.RowError{
			{Line: 1202, Field: "canonical_name", Message: `canonical_name "aPP 00700" is on line 701 already`},
		}})

		// A statement that fails in the last batch rolls back the batches before.
		rejectPoisonApp(t, url)
		err = wantRefused(t, s, url, catalogRows(append(rows, catalogRow("Poison", nil))...))
		if err == nil || !strings.Contains(err.Error(), "poisoned") {
			t.Errorf("error is %v, want the database's", err)
		}
		// The next import succeeds.
		result := must(s.ImportCatalog(t.Context(), catalogRows(rows...), alice, store.ImportOptions{}))(t)
		wantJSON(t, "the result", result, store.ImportResult{Created: 1200, Updated: 1, CategoriesCreated: 1})
	})
}

// rejectPoisonApp adds a trigger that refuses the catalog app Poison.
func rejectPoisonApp(t *testing.T, url string) {
	t.Helper()
	statements := []string{`CREATE TRIGGER poison BEFORE INSERT ON catalog_apps WHEN NEW.name_key = 'poison'
		BEGIN SELECT RAISE(ABORT, 'poisoned'); END`}
	if !strings.HasPrefix(url, "sqlite:") {
		statements = []string{
			`CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'poisoned'; END $$`,
			`CREATE TRIGGER poison BEFORE INSERT ON catalog_apps FOR EACH ROW WHEN (NEW.name_key = 'poison') EXECUTE FUNCTION poison()`,
		}
	}
	db := storetest.SQL(t, url)
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

func TestImportCatalogDryRun(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := openSeeded(t, url, storetest.Page())
		rows := append(numbered(600), slack())
		rows[0].Vendor = vendor("Acme")
		rows[599].Vendor = vendor("acme")
		db := storetest.SQL(t, url)
		before := allRows(t, db)
		dry := must(s.ImportCatalog(store.DryRun(t.Context()), catalogRows(rows...), alice, store.ImportOptions{}))(t)
		if !reflect.DeepEqual(allRows(t, db), before) {
			t.Error("a dry run wrote something")
		}
		wantJSON(t, "the result of a dry run", dry, store.ImportResult{
			Created: 600, Updated: 1, VendorsCreated: 1, CategoriesCreated: 1,
		})
		wantJSON(t, "the result", must(s.ImportCatalog(t.Context(), catalogRows(rows...), alice, store.ImportOptions{}))(t), dry)
	})
}

func TestImportCatalogTellsErrorsByLine(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := openWithoutPolling(t, url)
		rows := append(numbered(150), numbered(150)...) // the second half repeats the first
		rows[2].Vendor = vendorAt("Acme", "https://acme.example.com")
		rows[6].Vendor = vendorAt("ACME", nil)
		rows[7].Vendor = vendor("acme") // has no URL
		rows[8].Vendor = vendorAt("acme", "https://acme.example.com/")
		err := wantRefused(t, s, url, func(yield func(store.CatalogRow, error) bool) {
			for row, err := range catalogRows(rows...) {
				bad := row.Line%50 == 0 && !yield(store.CatalogRow{}, &store.RowError{Line: row.Line, Message: "bad"})
				if bad || !yield(row, err) {
					return
				}
			}
		})
		want := store.ImportError{Total: 150 + 6 + 2, Rows: []store.RowError{
			{Line: 7, Field: "vendor_url", Message: "vendor_url is not the one that line 3 gives the same vendor"},
			{Line: 9, Field: "vendor_url", Message: "vendor_url is not the one that line 3 gives the same vendor"},
			{Line: 50, Message: "bad"},
			{Line: 100, Message: "bad"},
			{Line: 150, Message: "bad"},
		}}
		for line := 151; len(want.Rows) < 100; line++ {
			if line == 200 {
				want.Rows = append(want.Rows, store.RowError{Line: line, Message: "bad"})
			}
			want.Rows = append(want.Rows, store.RowError{
				Line: line, Field: "canonical_name", Message: fmt.Sprintf(`canonical_name "App %05d" is on line %d already`, line-150, line-150),
			})
		}
		wantError(t, err, &want)
	})
}

// TestImportCatalogCanceled cancels imports. They leave nothing in the tables, and nothing on the connection that the next import uses.
func TestImportCatalogCanceled(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := openWithoutPolling(t, url, func(cfg *store.Config) { cfg.MaxConns = 1 })
		db := storetest.SQL(t, url)
		before := allRows(t, db)
		ctx, cancel := context.WithCancel(t.Context())
		_, err := s.ImportCatalog(ctx, catalogRows(numbered(1200)...), alice, store.ImportOptions{Progress: func(done, _ int) {
			if done == 1000 {
				cancel()
			}
		}})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v, want context.Canceled", err)
		}
		if !reflect.DeepEqual(allRows(t, db), before) {
			t.Error("a canceled import wrote something")
		}
		result := must(s.ImportCatalog(t.Context(), catalogRows(numbered(1200)...), alice, store.ImportOptions{}))(t)
		wantJSON(t, "the next result", result, store.ImportResult{Created: 1200})
	})
}

// TestImportCatalogAtOnce has two servers import the same rows at once. One creates them, the other changes nothing.
func TestImportCatalogAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		results := make(chan store.ImportResult)
		for range 2 {
			s := openWithoutPolling(t, url)
			go func() {
				result, err := s.ImportCatalog(t.Context(), catalogRows(numbered(700)...), alice, store.ImportOptions{})
				if err != nil {
					t.Error(err)
				}
				results <- result
			}()
		}
		a, b := <-results, <-results
		if a.Created+b.Created != 700 || a.Unchanged+b.Unchanged != 700 {
			t.Errorf("the results are %+v and %+v, want 700 created once", a, b)
		}
	})
}

// TestImportCatalogStreams imports 30 MB. The import may keep a few batches of them in memory. The test is not parallel, because it
// measures the memory of the whole process.
func TestImportCatalogStreams(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		s := openWithoutPolling(t, url)
		live := func() uint64 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		start, most := live(), uint64(0)
		description := strings.Repeat("d", 1900)
		rows := func(yield func(store.CatalogRow, error) bool) {
			for i := range 30_000 {
				row := catalogRow("App "+uuid.NewString(), store.Fields{store.ColumnDescription: description + uuid.NewString()})
				row.Line = i + 1
				if i%2000 == 0 {
					most = max(most, live())
				}
				if !yield(row, nil) {
					return
				}
			}
		}
		progress := func(done, _ int) {
			if done%4000 == 0 {
				most = max(most, live())
			}
		}
		result := must(s.ImportCatalog(t.Context(), rows, alice, store.ImportOptions{Progress: progress, LockTime: time.Hour}))(t)
		wantJSON(t, "the result", result, store.ImportResult{Created: 30_000})
		if grown := int64(most) - int64(start); grown > 16<<20 {
			t.Errorf("the import kept %d MB in memory", grown>>20)
		}
	})
}
