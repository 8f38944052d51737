package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// readCatalogHistory reads the history of the catalog after one revision and up to another, in its order.
func readCatalogHistory(t testing.TB, db queryer, after, upTo int64) []store.CatalogChange {
	t.Helper()
	query := fmt.Sprintf(`SELECT revision, entity, entity_id, field, old_value, new_value, actor_id, actor_name, request_id, changed_at
		FROM catalog_changes WHERE revision > %d AND revision <= %d ORDER BY revision, entity, entity_id, field`, after, upTo)
	rows := must(db.QueryContext(t.Context(), query))(t)
	defer rows.Close()
	var found []store.CatalogChange
	for rows.Next() {
		var c store.CatalogChange
		var at any
		err := rows.Scan(&c.Revision, &c.Entity, &c.EntityID, &c.Field, &c.OldValue, &c.NewValue, &c.ActorID, &c.ActorName, &c.RequestID, &at)
		if err != nil {
			t.Fatal(err)
		}
		switch at := at.(type) {
		case int64:
			c.ChangedAt = time.UnixMilli(at).UTC()
		case time.Time:
			c.ChangedAt = at.UTC()
		}
		found = append(found, c)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}

// catalogHistoryOf runs a write and returns the changes that it has left. All of them must have the next revision, and this author and time.
func catalogHistoryOf(t *testing.T, db *sql.DB, by store.Actor, at time.Time, write func()) []store.CatalogChange {
	t.Helper()
	before := revision(t, db)
	write()
	changes := readCatalogHistory(t, db, before, 1<<62)
	for _, c := range changes {
		if c.Revision != before+1 || c.Revision != revision(t, db) {
			t.Errorf("%s.%s has revision %d after %d, and the catalog has %d", c.Entity, c.Field, c.Revision, before, revision(t, db))
		}
		if got := (store.Actor{ID: c.ActorID, Name: c.ActorName, RequestID: c.RequestID}); got != by || !c.ChangedAt.Equal(at) {
			t.Errorf("%s.%s is by %v at %v, want %v at %v", c.Entity, c.Field, got, c.ChangedAt, by, at)
		}
	}
	return changes
}

// changeTexts writes changes as "entity.field of name: old value -> new value", with the names of ids.
func changeTexts(changes []store.CatalogChange, names map[uuid.UUID]string) []string {
	var replace []string
	for id, name := range names {
		replace = append(replace, id.String(), name)
	}
	named := strings.NewReplacer(replace...)
	texts := []string{}
	for _, c := range changes {
		texts = append(texts, named.Replace(fmt.Sprintf("%s.%s of %s: %s -> %s", c.Entity, c.Field, c.EntityID, c.OldValue, c.NewValue)))
	}
	slices.Sort(texts)
	return texts
}

// hostileAliases have characters that JSON escapes, and an order that is not that of the alphabet.
var hostileAliases = []string{"z", "Ä", "a\"b\\c", "tab\there", "\U0001F600", "Z"}

// TestCatalogHistory calls every method that writes the catalog: each leaves the changes of the fields that it has changed, and no others.
func TestCatalogHistory(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		s := openSeeded(t, url, storetest.Page(), withClock(clock))
		db := storetest.SQL(t, url)
		ctx := t.Context()
		names := map[uuid.UUID]string{storetest.CatalogID: "SLACK", storetest.VendorID: "SALESFORCE", storetest.CategoryID: "COMMUNICATION"}
		wantJSON(t, "the changes of the dataset", changeTexts(readCatalogHistory(t, db, 0, 1<<62), names), []string{
			`catalog_app.canonical_name of SLACK: null -> "Slack"`,
			`catalog_app.catalog_app of SLACK: null -> "SLACK"`,
			`catalog_app.category_ids of SLACK: [] -> ["COMMUNICATION"]`,
			`catalog_app.description of SLACK: null -> "A messaging and collaboration platform for teams"`,
			`catalog_app.display_colour of SLACK: null -> "#4A154B"`,
			`catalog_app.logo of SLACK: null -> "https://cdn.example.com/logos/slack.png"`,
			`catalog_app.type of SLACK: null -> "desktop"`,
			`catalog_app.vendor_id of SLACK: null -> "SALESFORCE"`,
			`category.category of COMMUNICATION: null -> "COMMUNICATION"`,
			`category.name of COMMUNICATION: null -> "Communication"`,
			`vendor.name of SALESFORCE: null -> "Salesforce, Inc."`,
			`vendor.url of SALESFORCE: null -> "https://www.salesforce.com"`,
			`vendor.vendor of SALESFORCE: null -> "SALESFORCE"`,
		})
		var vendor store.Vendor
		var category store.Category
		var zoom *store.CatalogApp
		fields := func(values ...any) store.Fields {
			f := store.Fields{}
			for i := 0; i < len(values); i += 2 {
				f[values[i].(store.Column)] = values[i+1]
			}
			return f
		}
		name := func(value string) store.Fields { return fields(store.ColumnName, value) }
		stale := &store.IfMatch{Tags: []string{"stale"}}
		var by store.Actor
		for n, step := range []struct {
			what  string
			write func() error
			fails string
			want  []string
		}{
			{what: "create vendor", write: func() (err error) {
				vendor, err = s.CreateVendor(ctx, fields(store.ColumnName, "Zoom, Inc.", store.ColumnURL, "https://zoom.us"), by)
				names[vendor.ID] = "ZOOM INC"
				return err
			}, want: []string{
				`vendor.name of ZOOM INC: null -> "Zoom, Inc."`,
				`vendor.url of ZOOM INC: null -> "https://zoom.us"`,
				`vendor.vendor of ZOOM INC: null -> "ZOOM INC"`,
			}},
			{what: "create category", write: func() (err error) {
				category, err = s.CreateCategory(ctx, name("Vidéo \"live\""), by)
				names[category.ID] = "VIDEO"
				return err
			}, want: []string{
				`category.category of VIDEO: null -> "VIDEO"`,
				`category.name of VIDEO: null -> "Vidéo \"live\""`,
			}},
			{what: "create catalog app", write: func() (err error) {
				zoom, err = s.CreateCatalogApp(ctx, fields(store.ColumnCanonicalName, "Zoom"), nil, by)
				names[zoom.ID] = "ZOOM"
				return err
			}, want: []string{
				`catalog_app.canonical_name of ZOOM: null -> "Zoom"`,
				`catalog_app.catalog_app of ZOOM: null -> "ZOOM"`,
			}},
			{what: "set all fields", write: func() (err error) {
				_, err = s.UpdateCatalogApp(ctx, zoom.ID, fields(store.ColumnCanonicalName, "Zoom Workplace", store.ColumnDescription, "Meet\nings",
					store.ColumnDisplayColour, "#00f", store.ColumnLogo, "l", store.ColumnType, "web", store.ColumnVendorID, vendor.ID),
					&[]uuid.UUID{category.ID}, by, nil)
				return err
			}, want: []string{
				`catalog_app.canonical_name of ZOOM: "Zoom" -> "Zoom Workplace"`,
				`catalog_app.category_ids of ZOOM: [] -> ["VIDEO"]`,
				`catalog_app.description of ZOOM: null -> "Meet\nings"`,
				`catalog_app.display_colour of ZOOM: null -> "#00f"`,
				`catalog_app.logo of ZOOM: null -> "l"`,
				`catalog_app.type of ZOOM: null -> "web"`,
				`catalog_app.vendor_id of ZOOM: null -> "ZOOM INC"`,
			}},
			{what: "the same again", write: func() error {
				_, err := s.UpdateCatalogApp(ctx, zoom.ID, fields(store.ColumnCanonicalName, "Zoom Workplace"), &[]uuid.UUID{category.ID, category.ID}, by, nil)
				return err
			}, want: []string{}},
			{what: "two categories and no vendor", write: func() error {
				_, err := s.UpdateCatalogApp(ctx, zoom.ID, fields(store.ColumnVendorID, nil), &[]uuid.UUID{category.ID, storetest.CategoryID}, by, nil)
				return err
			}, want: []string{
				`catalog_app.category_ids of ZOOM: ["VIDEO"] -> [BOTH]`,
				`catalog_app.vendor_id of ZOOM: "ZOOM INC" -> null`,
			}},
			{what: "one category", write: func() error {
				_, err := s.UpdateCatalogApp(ctx, zoom.ID, store.Fields{}, &[]uuid.UUID{category.ID}, by, nil)
				return err
			}, want: []string{`catalog_app.category_ids of ZOOM: [BOTH] -> ["VIDEO"]`}},
			{what: "patterns", write: func() error {
				return s.ReplaceURLPatterns(ctx, zoom.ID, []string{"zoom.us", "*.zoom.us", "Zoom.us", "zoom.us"}, by, nil)
			}, want: []string{`catalog_app.url_patterns of ZOOM: [] -> ["*.zoom.us","Zoom.us","zoom.us"]`}},
			{what: "the same patterns", write: func() error {
				return s.ReplaceURLPatterns(ctx, zoom.ID, []string{"Zoom.us", "*.zoom.us", "zoom.us"}, by, nil)
			}, want: []string{}},
			{what: "another pattern for one", write: func() error {
				return s.ReplaceURLPatterns(ctx, zoom.ID, []string{"Zoom.us", "zoom.com", "zoom.us"}, by, nil)
			}, want: []string{`catalog_app.url_patterns of ZOOM: ["*.zoom.us","Zoom.us","zoom.us"] -> ["Zoom.us","zoom.com","zoom.us"]`}},
			{what: "aliases", write: func() error {
				return s.ReplaceDesktopAliases(ctx, zoom.ID, hostileAliases, by, nil)
			}, want: []string{`catalog_app.desktop_aliases of ZOOM: [] -> ["Z","a\"b\\c","tab\there","z","Ä","` + "\U0001F600" + `"]`}},
			{what: "no aliases", write: func() error {
				return s.ReplaceDesktopAliases(ctx, zoom.ID, nil, by, nil)
			}, want: []string{`catalog_app.desktop_aliases of ZOOM: ["Z","a\"b\\c","tab\there","z","Ä","` + "\U0001F600" + `"] -> []`}},
			{what: "aliases again", write: func() error {
				return s.ReplaceDesktopAliases(ctx, zoom.ID, []string{"zoom.exe"}, by, nil)
			}, want: []string{`catalog_app.desktop_aliases of ZOOM: [] -> ["zoom.exe"]`}},
			{what: "update vendor", write: func() error {
				_, err := s.UpdateVendor(ctx, vendor.ID, fields(store.ColumnName, "Zoom", store.ColumnURL, nil), by, nil)
				return err
			}, want: []string{
				`vendor.name of ZOOM INC: "Zoom, Inc." -> "Zoom"`,
				`vendor.url of ZOOM INC: "https://zoom.us" -> null`,
			}},
			{what: "the same vendor", write: func() error {
				_, err := s.UpdateVendor(ctx, vendor.ID, name("Zoom"), by, nil)
				return err
			}, want: []string{}},
			{what: "update category", write: func() error {
				_, err := s.UpdateCategory(ctx, category.ID, name("Video"), by, nil)
				return err
			}, want: []string{`category.name of VIDEO: "Vidéo \"live\"" -> "Video"`}},
			{what: "a name that is taken", write: func() error {
				_, err := s.UpdateCatalogApp(ctx, zoom.ID, fields(store.ColumnCanonicalName, "slack", store.ColumnType, nil), nil, by, nil)
				return err
			}, fails: "canonical_name is taken", want: []string{}},
			{what: "a tag that is not the app's", write: func() error {
				_, err := s.UpdateCatalogApp(ctx, zoom.ID, fields(store.ColumnType, nil), nil, by, stale)
				return err
			}, fails: "the object is not as it must be", want: []string{}},
			{
				what: "a vendor that is in use", write: func() error { return s.DeleteVendor(ctx, storetest.VendorID, by, nil) },
				fails: "Vendor is in use", want: []string{},
			},
			{
				what: "an app that is in use", write: func() error { return s.DeleteCatalogApp(ctx, storetest.CatalogID, by, nil) },
				fails: "Catalog app is in use", want: []string{},
			},
			{
				what: "delete catalog app", write: func() error { return s.DeleteCatalogApp(ctx, zoom.ID, by, nil) },
				want: []string{`catalog_app.catalog_app of ZOOM: "ZOOM" -> null`},
			},
			{
				what: "delete vendor", write: func() error { return s.DeleteVendor(ctx, vendor.ID, by, nil) },
				want: []string{`vendor.vendor of ZOOM INC: "ZOOM INC" -> null`},
			},
			{
				what: "delete category", write: func() error { return s.DeleteCategory(ctx, category.ID, by, nil) },
				want: []string{`category.category of VIDEO: "VIDEO" -> null`},
			},
			{what: "clear fields", write: func() error {
				_, err := s.UpdateCatalogApp(ctx, storetest.CatalogID, fields(store.ColumnDescription, nil, store.ColumnType, nil), &[]uuid.UUID{}, by, nil)
				return err
			}, want: []string{
				`catalog_app.category_ids of SLACK: ["COMMUNICATION"] -> []`,
				`catalog_app.description of SLACK: "A messaging and collaboration platform for teams" -> null`,
				`catalog_app.type of SLACK: "desktop" -> null`,
			}},
		} {
			clock.Advance(time.Minute)
			by = store.Actor{ID: idOf(step.what), Name: step.what, RequestID: fmt.Sprint("step ", n)}
			changes := catalogHistoryOf(t, db, by, clock.Now(), func() {
				err := step.write()
				switch {
				case step.fails == "" && err != nil:
					t.Fatalf("%s: %v", step.what, err)
				case step.fails != "" && (err == nil || !strings.Contains(err.Error(), step.fails)):
					t.Errorf("%s: %v, want %s", step.what, err, step.fails)
				}
			})
			ids := []string{storetest.CategoryID.String(), category.ID.String()}
			slices.Sort(ids)
			both := `"` + strings.Join(ids, `","`) + `"`
			for i, c := range changes {
				changes[i].OldValue, changes[i].NewValue = strings.ReplaceAll(c.OldValue, both, "BOTH"), strings.ReplaceAll(c.NewValue, both, "BOTH")
			}
			wantJSON(t, step.what, changeTexts(changes, names), step.want)
		}
	})
}

// TestCatalogHistoryOfImports checks that an import leaves one change for each field that it has changed.
func TestCatalogHistoryOfImports(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		s := openSeeded(t, url, storetest.Page(), withClock(clock))
		db := storetest.SQL(t, url)
		names := map[uuid.UUID]string{storetest.CatalogID: "SLACK", storetest.VendorID: "SALESFORCE", storetest.CategoryID: "COMMUNICATION"}
		row := catalogRow("slack", store.Fields{store.ColumnType: "web", store.ColumnDisplayColour: "#4A154B"})
		row.Vendor = vendorAt("salesforce, inc.", "https://salesforce.com")
		row.Categories = []string{"communication"}
		row.URLPatterns = []string{"b", "a", "b"}
		imports := func(ctx context.Context, rows ...store.CatalogRow) []string {
			t.Helper()
			clock.Advance(time.Minute)
			return changeTexts(catalogHistoryOf(t, db, importer, clock.Now(), func() {
				must(s.ImportCatalog(ctx, catalogRows(rows...), importer, store.ImportOptions{}))(t)
			}), names)
		}
		wantJSON(t, "a dry run", imports(store.DryRun(t.Context()), row), []string{})
		wantJSON(t, "an import", imports(t.Context(), row), []string{
			`catalog_app.canonical_name of SLACK: "Slack" -> "slack"`,
			`catalog_app.type of SLACK: "desktop" -> "web"`,
			`catalog_app.url_patterns of SLACK: [] -> ["a","b"]`,
			`vendor.url of SALESFORCE: "https://www.salesforce.com" -> "https://salesforce.com"`,
		})
		wantJSON(t, "the same import", imports(t.Context(), row), []string{})
		row.URLPatterns, row.DesktopAliases = []string{"c"}, []string{"slack.exe"}
		wantJSON(t, "an import of texts", imports(t.Context(), row), []string{
			`catalog_app.desktop_aliases of SLACK: [] -> ["slack.exe"]`,
			`catalog_app.url_patterns of SLACK: ["a","b"] -> ["c"]`,
		})
		many := numbered(1200)
		for i := range many {
			many[i].Categories, many[i].URLPatterns = []string{"Many"}, []string{fmt.Sprint("https://", i)}
			many[i].Vendor = vendor("Maker")
		}
		changes := imports(t.Context(), many...)
		if want := 1200*(1+1+1+1+1) + 2 + 2; len(changes) != want { // app, name, vendor, categories and patterns; vendor and category
			t.Errorf("%d changes, want %d", len(changes), want)
		}
		bad := many[:600]
		bad[599].Fields = store.Fields{store.ColumnCanonicalName: "App 00001"} // a name twice
		wantJSON(t, "a refused import", changeTexts(catalogHistoryOf(t, db, importer, clock.Now(), func() {
			if _, err := s.ImportCatalog(t.Context(), catalogRows(bad...), importer, store.ImportOptions{}); err == nil {
				t.Error("a name twice was imported")
			}
		}), names), []string{})
		ctx, cancel := context.WithCancel(t.Context())
		wantJSON(t, "an import that is cut off", changeTexts(catalogHistoryOf(t, db, importer, clock.Now(), func() {
			fresh := make([]store.CatalogRow, 1200)
			for i := range fresh {
				fresh[i] = catalogRow(fmt.Sprint("Fresh ", i), nil)
			}
			_, err := s.ImportCatalog(ctx, catalogRows(fresh...), importer, store.ImportOptions{Progress: func(int, int) { cancel() }})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("the import is not cut off: %v", err)
			}
		}), names), []string{})
	})
}

// TestCatalogHistoryByHand writes the catalog as an older program does, and as people do: the history has it, without an author.
func TestCatalogHistoryByHand(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		s := openSeeded(t, url, storetest.Page(), withClock(&storetest.Clock{}))
		db := storetest.SQL(t, url)
		names := map[uuid.UUID]string{storetest.CatalogID: "SLACK", storetest.VendorID: "SALESFORCE", storetest.CategoryID: "COMMUNICATION"}
		must(s.UpdateVendor(t.Context(), storetest.VendorID, store.Fields{store.ColumnURL: nil}, alice, nil))(t)
		pattern := func(text string) string {
			return fmt.Sprintf("INSERT INTO catalog_url_patterns SELECT '%s', id, '%s', '%[2]s', created_at FROM catalog_apps "+
				"WHERE name_key = 'slack'", idOf(text), text)
		}
		const bump = "UPDATE catalog_state SET revision = revision + 1 WHERE id = 1"
		began := time.Now().UTC().Truncate(time.Millisecond)
		for _, c := range []struct {
			what       string
			statements []string
			want       []string
		}{
			{"a field, twice", []string{"UPDATE catalog_vendors SET name = 'A'", "UPDATE catalog_vendors SET name = 'B', url = 'u'", bump}, []string{
				`vendor.name of SALESFORCE: "Salesforce, Inc." -> "B"`, `vendor.url of SALESFORCE: null -> "u"`,
			}},
			{"there and back", []string{"UPDATE catalog_vendors SET name = 'C'", "UPDATE catalog_vendors SET name = 'B'", bump}, []string{}},
			{"what the history does not have", []string{"UPDATE catalog_vendors SET name_key = 'x', version = version + 1", bump}, []string{}},
			{"a set, without a new revision", []string{pattern("b"), pattern("a")}, []string{}},
			{"the same set, later", []string{pattern("c"), bump}, []string{`catalog_app.url_patterns of SLACK: [] -> ["a","b","c"]`}},
			{"a set that is as it was", []string{"DELETE FROM catalog_url_patterns WHERE pattern = 'b'", pattern("b"), bump}, []string{}},
			{"several revisions at once", []string{"DELETE FROM catalog_url_patterns", "UPDATE catalog_state SET revision = revision + 5"}, []string{
				`catalog_app.url_patterns of SLACK: ["a","b","c"] -> []`,
			}},
		} {
			before := revision(t, db)
			tx := must(db.BeginTx(t.Context(), nil))(t)
			for _, statement := range c.statements {
				must(tx.ExecContext(t.Context(), statement))(t)
			}
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
			changes := readCatalogHistory(t, db, before, revision(t, db))
			wantJSON(t, c.what, changeTexts(changes, names), c.want)
			for _, change := range changes {
				if change.ActorID != uuid.Nil || change.ActorName != "" || change.RequestID != "" {
					t.Errorf("%s: an author", c.what)
				}
				if change.ChangedAt.Before(began) || change.ChangedAt.After(time.Now()) {
					t.Errorf("%s: changed at %v", c.what, change.ChangedAt)
				}
			}
		}
		const leftOver = "SELECT count(*) FROM catalog_changes WHERE revision > (SELECT revision FROM catalog_state) OR old_value = new_value"
		if n := queryOne[int](t, db, leftOver); n != 0 {
			t.Errorf("%d rows are left over", n)
		}
	})
}

// TestCatalogHistoryIsInOrder has eight writers at two servers, and a reader that follows the history up to the revision of the catalog.
// The reader misses no change, and the changes of one write are in one revision.
func TestCatalogHistoryIsInOrder(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		const writers, writes = 8, 25
		servers := []*store.Store{openSeeded(t, url, storetest.Page()), openWithoutPolling(t, url)}
		db := storetest.SQL(t, url)
		first := revision(t, db)
		done := make(chan struct{})
		var read []store.CatalogChange
		var reader, all sync.WaitGroup
		reader.Go(func() {
			last, finish := first, false
			for !finish {
				select {
				case <-done:
					finish = true
				default:
				}
				now := revision(t, db)
				read = append(read, readCatalogHistory(t, db, last, now)...)
				last = now
			}
		})
		for w := range writers {
			all.Go(func() {
				random := rand.New(rand.NewPCG(uint64(w), 7))
				for n := range writes {
					by := store.Actor{ID: idOf("writer"), Name: "writer", RequestID: fmt.Sprintf("%d.%d", w, n)}
					if err := writeCatalogAtRandom(t.Context(), servers[w%2], random, by); err != nil {
						t.Errorf("writer %d: %v", w, err)
						return
					}
				}
			})
		}
		all.Wait()
		close(done)
		reader.Wait()
		want := readCatalogHistory(t, db, first, 1<<62)
		if len(read) != len(want) || len(want) < writers*writes {
			t.Fatalf("the reader has %d changes of %d", len(read), len(want))
		}
		revisions := map[string]int64{}
		for n, c := range want {
			if read[n] != c {
				t.Fatalf("change %d was read as %v, and is %v", n, read[n], c)
			}
			if n > 0 && c.ChangedAt.Before(want[n-1].ChangedAt) {
				t.Errorf("revision %d is earlier than the one before it", c.Revision)
			}
			if at, known := revisions[c.RequestID]; known && at != c.Revision {
				t.Errorf("request %s has revisions %d and %d", c.RequestID, at, c.Revision)
			}
			revisions[c.RequestID] = c.Revision
		}
		if len(revisions) != writers*writes || revision(t, db) != first+writers*writes {
			t.Errorf("%d writes are in the history, of %d; the revision went from %d to %d", len(revisions), writers*writes, first, revision(t, db))
		}
	})
}

// writeCatalogAtRandom changes something.
func writeCatalogAtRandom(ctx context.Context, s *store.Store, random *rand.Rand, by store.Actor) error {
	name := func(column store.Column) store.Fields { return store.Fields{column: "name " + uuid.NewString()} }
	switch random.IntN(7) {
	case 0:
		return onlyErr(s.CreateVendor(ctx, name(store.ColumnName), by))
	case 1:
		return onlyErr(s.UpdateVendor(ctx, storetest.VendorID, name(store.ColumnName), by, nil))
	case 2:
		return onlyErr(s.UpdateCategory(ctx, storetest.CategoryID, name(store.ColumnName), by, nil))
	case 3:
		return onlyErr(s.CreateCatalogApp(ctx, name(store.ColumnCanonicalName), []uuid.UUID{storetest.CategoryID}, by))
	case 4:
		return onlyErr(s.UpdateCatalogApp(ctx, storetest.CatalogID, name(store.ColumnCanonicalName), nil, by, nil))
	case 5:
		return s.ReplaceURLPatterns(ctx, storetest.CatalogID, []string{uuid.NewString(), uuid.NewString()}, by, nil)
	default:
		row := catalogRow("name "+uuid.NewString(), nil)
		row.DesktopAliases = []string{uuid.NewString()}
		return onlyErr(s.ImportCatalog(ctx, catalogRows(row), by, store.ImportOptions{}))
	}
}
