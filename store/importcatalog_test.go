package store_test

import (
	"fmt"
	"iter"
	"reflect"
	"testing"
	"time"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// catalogRows returns the rows of an import, one on each line.
func catalogRows(rows ...store.CatalogRow) iter.Seq2[store.CatalogRow, error] {
	return func(yield func(store.CatalogRow, error) bool) {
		for i, row := range rows {
			row.Line = i + 1
			if !yield(row, nil) {
				return
			}
		}
	}
}

// catalogRow returns a row with a name and these fields.
func catalogRow(name string, fields store.Fields) store.CatalogRow {
	row := store.CatalogRow{Fields: store.Fields{store.ColumnCanonicalName: name}}
	for column, value := range fields {
		row.Fields[column] = value
	}
	return row
}

// numbered returns n rows whose names sort by number.
func numbered(n int) []store.CatalogRow {
	rows := make([]store.CatalogRow, n)
	for i := range rows {
		rows[i] = catalogRow(fmt.Sprintf("App %05d", i+1), nil)
	}
	return rows
}

func vendor(name string) store.Fields { return store.Fields{store.ColumnName: name} }

func vendorAt(name string, url any) store.Fields {
	return store.Fields{store.ColumnName: name, store.ColumnURL: url}
}

// catalogued is a catalog app with names in place of ids.
type catalogued struct {
	Name                            string
	Description, Colour, Logo, Type *string
	Vendor, VendorURL               *string
	Categories, Patterns, Aliases   []string
	Created, Updated                int // minutes after storetest.Now
	Version                         int64
}

// catalogOf returns the whole catalog by name.
func catalogOf(t *testing.T, s *store.Store) map[string]catalogued {
	t.Helper()
	found := map[string]catalogued{}
	for _, app := range must(s.ListCatalogApps(t.Context(), store.CatalogFilter{}, fullPage(store.ColumnCanonicalName)))(t).Rows {
		entry := catalogued{
			Name: app.CanonicalName, Description: app.Description, Colour: app.DisplayColour, Logo: app.Logo, Type: app.Type,
			Created: int(app.CreatedAt.Sub(storetest.Now).Minutes()), Updated: int(app.UpdatedAt.Sub(storetest.Now).Minutes()),
			Version: app.Version,
		}
		if app.Vendor != nil {
			entry.Vendor, entry.VendorURL = &app.Vendor.Name, app.Vendor.URL
		}
		for _, category := range app.Categories {
			entry.Categories = append(entry.Categories, category.Name)
		}
		for _, p := range must(s.ListURLPatterns(t.Context(), app.ID, "", fullPage(store.ColumnPattern)))(t).Rows {
			entry.Patterns = append(entry.Patterns, p.Pattern)
		}
		for _, a := range must(s.ListDesktopAliases(t.Context(), app.ID, "", fullPage(store.ColumnAlias)))(t).Rows {
			entry.Aliases = append(entry.Aliases, a.Alias)
		}
		found[app.CanonicalName] = entry
	}
	return found
}

func ptr[T any](v T) *T { return &v }

// slack returns a row with all fields.
func slack() store.CatalogRow {
	row := catalogRow("Slack", store.Fields{
		store.ColumnDescription: "Messages", store.ColumnDisplayColour: "#4A154B",
		store.ColumnLogo: "https://cdn.example.com/slack.png", store.ColumnType: "desktop",
	})
	row.Vendor = vendorAt("Salesforce, Inc.", "https://www.salesforce.com")
	row.Categories = []string{"Communication", "Work", "communication"}
	row.URLPatterns = []string{"https://slack.com/*", "https://*.slack.com/*", "https://slack.com/*"}
	row.DesktopAliases = []string{"slack.exe"}
	return row
}

func TestImportCatalog(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		s := openSeeded(t, url, store.Dataset{CatalogApps: []store.CatalogApp{catalogApp("Old")}}, withClock(clock))
		catalogOf(t, s) // loads the snapshot of this server
		clock.Advance(time.Minute)
		tableau, plain := catalogRow("Tableau", nil), catalogRow("Plain", nil)
		tableau.Vendor = vendor("SALESFORCE, inc.")
		tableau.Categories = []string{"WORK"}
		var progress []string
		result := must(s.ImportCatalog(t.Context(), catalogRows(slack(), tableau, plain), alice, store.ImportOptions{
			Progress: func(done, total int) { progress = append(progress, fmt.Sprint(done, "/", total)) },
		}))(t)
		wantJSON(t, "the result", result, store.ImportResult{Created: 3, VendorsCreated: 1, CategoriesCreated: 2})
		wantJSON(t, "the progress", progress, []string{"3/3"})
		wantJSON(t, "the catalog", catalogOf(t, s), map[string]catalogued{
			"Old": {Name: "Old", Version: 1},
			"Slack": {
				Name: "Slack", Description: ptr("Messages"), Colour: ptr("#4A154B"),
				Logo: ptr("https://cdn.example.com/slack.png"), Type: ptr("desktop"),
				Vendor: ptr("Salesforce, Inc."), VendorURL: ptr("https://www.salesforce.com"),
				Categories: []string{"Communication", "Work"},
				Patterns:   []string{"https://*.slack.com/*", "https://slack.com/*"}, Aliases: []string{"slack.exe"},
				Created: 1, Updated: 1, Version: 1,
			},
			"Tableau": {
				Name: "Tableau", Vendor: ptr("Salesforce, Inc."), VendorURL: ptr("https://www.salesforce.com"),
				Categories: []string{"Work"}, Created: 1, Updated: 1, Version: 1,
			},
			"Plain": {Name: "Plain", Created: 1, Updated: 1, Version: 1},
		})
	})
}

func TestImportCatalogTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		s := openSeeded(t, url, storetest.Page(), withClock(clock))
		rows := append(numbered(1200), slack()) // three batches
		for i := range rows {
			if rows[i].Vendor == nil {
				rows[i].Vendor = vendor(fmt.Sprintf("Vendor %d", i%700))
				rows[i].Categories = []string{fmt.Sprintf("Category %d", i%70)}
			}
		}
		rows[0].Vendor = vendorAt("Vendor 9", nil) // another row sets the URL of this vendor, in another batch
		rows[1100].Vendor = vendorAt("Vendor 8", "https://vendor8.example.com")
		want := store.ImportResult{Created: 1200, Updated: 1, VendorsCreated: 700, CategoriesCreated: 71}
		clock.Advance(time.Minute)
		wantJSON(t, "the first result", must(s.ImportCatalog(t.Context(), catalogRows(rows...), alice, store.ImportOptions{}))(t), want)
		db := storetest.SQL(t, url)
		before := allRows(t, db)
		clock.Advance(time.Minute)
		for range 2 {
			result := must(s.ImportCatalog(t.Context(), catalogRows(rows...), alice, store.ImportOptions{}))(t)
			wantJSON(t, "the next result", result, store.ImportResult{Unchanged: 1201})
		}
		if !reflect.DeepEqual(allRows(t, db), before) {
			t.Error("the second import of the same rows wrote something")
		}
		versions := queryOne[int64](t, db, "SELECT max(version) FROM catalog_vendors")
		if versions != 1 {
			t.Errorf("a vendor has version %d after one import, want 1", versions)
		}
	})
}

func TestImportCatalogUpdates(t *testing.T) {
	t.Parallel()
	full := catalogued{
		Name: "Slack", Description: ptr("Messages"), Colour: ptr("#4A154B"),
		Logo: ptr("https://cdn.example.com/slack.png"), Type: ptr("desktop"),
		Vendor: ptr("Salesforce, Inc."), VendorURL: ptr("https://www.salesforce.com"),
		Categories: []string{"Communication", "Work"},
		Patterns:   []string{"https://*.slack.com/*", "https://slack.com/*"}, Aliases: []string{"slack.exe"}, Version: 1,
	}
	updated := store.ImportResult{Updated: 1}
	cases := map[string]struct {
		row    func(*store.CatalogRow)
		want   func(*catalogued)
		result store.ImportResult
	}{
		"a name alone keeps everything": {
			func(*store.CatalogRow) {}, nil, store.ImportResult{Unchanged: 1},
		},
		"the same name in another case renames": {
			func(r *store.CatalogRow) { r.Fields[store.ColumnCanonicalName] = "SLACK" },
			func(c *catalogued) { c.Name = "SLACK" }, updated,
		},
		"nil clears": {
			func(r *store.CatalogRow) {
				for _, column := range []store.Column{
					store.ColumnDescription, store.ColumnDisplayColour, store.ColumnLogo, store.ColumnType,
				} {
					r.Fields[column] = nil
				}
			},
			func(c *catalogued) { c.Description, c.Colour, c.Logo, c.Type = nil, nil, nil, nil }, updated,
		},
		"a value sets and leaves the others": {
			func(r *store.CatalogRow) { r.Fields[store.ColumnType] = "web" },
			func(c *catalogued) { c.Type = ptr("web") }, updated,
		},
		"another vendor": {
			func(r *store.CatalogRow) { r.Vendor = vendor("Slack Technologies") },
			func(c *catalogued) { c.Vendor, c.VendorURL = ptr("Slack Technologies"), nil },
			store.ImportResult{Updated: 1, VendorsCreated: 1},
		},
		"no vendor": {
			func(r *store.CatalogRow) { r.Vendor = store.Fields{} },
			func(c *catalogued) { c.Vendor, c.VendorURL = nil, nil }, updated,
		},
		"the vendor in another spelling keeps its own": {
			func(r *store.CatalogRow) { r.Vendor = vendor("SALESFORCE, INC.") }, nil, store.ImportResult{Unchanged: 1},
		},
		"another URL of the vendor changes the vendor, not the app": {
			func(r *store.CatalogRow) { r.Vendor = vendorAt("Salesforce, Inc.", "https://salesforce.example.com") },
			func(c *catalogued) { c.VendorURL, c.Version, c.Updated = ptr("https://salesforce.example.com"), 1, 0 },
			store.ImportResult{Unchanged: 1, VendorsUpdated: 1},
		},
		"no URL of the vendor": {
			func(r *store.CatalogRow) { r.Vendor = vendorAt("Salesforce, Inc.", nil) },
			func(c *catalogued) { c.VendorURL, c.Version, c.Updated = nil, 1, 0 },
			store.ImportResult{Unchanged: 1, VendorsUpdated: 1},
		},
		"the same categories in another order": {
			func(r *store.CatalogRow) { r.Categories = []string{"work", "COMMUNICATION"} }, nil, store.ImportResult{Unchanged: 1},
		},
		"other categories": {
			func(r *store.CatalogRow) { r.Categories = []string{"Chat", "Work"} },
			func(c *catalogued) { c.Categories = []string{"Chat", "Work"} },
			store.ImportResult{Updated: 1, CategoriesCreated: 1},
		},
		"no categories": {
			func(r *store.CatalogRow) { r.Categories = []string{} },
			func(c *catalogued) { c.Categories = nil }, updated,
		},
		"other patterns and aliases, which the app does not show": {
			func(r *store.CatalogRow) {
				r.URLPatterns, r.DesktopAliases = []string{"https://slack.com/*", "https://new.example.com/"}, []string{}
			},
			func(c *catalogued) {
				c.Patterns, c.Aliases = []string{"https://new.example.com/", "https://slack.com/*"}, nil
				c.Version, c.Updated = 1, 0
			},
			updated,
		},
	}
	storetest.Each(t, func(t *testing.T, url string) {
		for name, c := range cases {
			clock := &storetest.Clock{}
			s := openWithoutPolling(t, url, withClock(clock))
			must(s.ImportCatalog(t.Context(), catalogRows(slack()), alice, store.ImportOptions{}))(t)
			if got := catalogOf(t, s); asJSON(t, got) != asJSON(t, map[string]catalogued{"Slack": full}) {
				t.Fatalf("%s: the catalog was %s", name, asJSON(t, got))
			}
			clock.Advance(time.Minute)
			row, want := catalogRow("Slack", nil), full
			c.row(&row)
			if c.want != nil {
				want.Version, want.Updated = 2, 1
				c.want(&want)
			}
			wantJSON(t, name+": the result", must(s.ImportCatalog(t.Context(), catalogRows(row), alice, store.ImportOptions{}))(t), c.result)
			wantJSON(t, name+": the catalog", catalogOf(t, s), map[string]catalogued{want.Name: want})
			clean(t, url)
		}
	})
}

// clean deletes the whole catalog.
func clean(t *testing.T, url string) {
	t.Helper()
	db := storetest.SQL(t, url)
	for _, table := range []string{
		"catalog_app_categories", "catalog_url_patterns", "catalog_desktop_aliases", "catalog_apps", "catalog_vendors", "catalog_categories",
	} {
		if _, err := db.ExecContext(t.Context(), "DELETE FROM "+table); err != nil {
			t.Fatal(err)
		}
	}
}

// TestImportCatalogShowsInApps imports another spelling and another vendor of a catalog app. A client's app shows both, and is found by
// the new name.
func TestImportCatalogShowsInApps(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := openSeeded(t, url, storetest.Page())
		key := store.AppKey{ClientID: storetest.ClientID, ID: storetest.AppID}
		tags := map[string]bool{must(s.GetApp(t.Context(), key))(t).ETag(): true}
		row := catalogRow("sLACK", nil)
		for _, row.Vendor = range []store.Fields{nil, vendorAt("Salesforce, Inc.", "https://salesforce.example.com"), {}} {
			must(s.ImportCatalog(t.Context(), catalogRows(row), alice, store.ImportOptions{}))(t)
			app := must(s.GetApp(t.Context(), key))(t)
			if app.Catalog.CanonicalName != "sLACK" || tags[app.ETag()] {
				t.Errorf("with vendor %v the app shows %q under the tag %s, seen %v", row.Vendor, app.Catalog.CanonicalName, app.ETag(), tags)
			}
			tags[app.ETag()] = true
		}
		list := must(s.ListApps(t.Context(), storetest.ClientID, store.AppFilter{Query: "SLACK"}, fullPage(store.ColumnCanonicalName)))(t)
		if list.Total != 1 {
			t.Errorf("%d apps are found by the new name, want 1", list.Total)
		}
	})
}
