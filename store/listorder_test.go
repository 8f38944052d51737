package store_test

import (
	"slices"
	"testing"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// ordered are names that databases sort differently, in the order of their folded code points.
var ordered = []string{
	"#1 Tool",
	"10", // digits are characters, not numbers
	"9",
	"_under",
	"a b", // spaces and punctuation are not ignored
	"a-b",
	"ab",
	"eclair",
	"FFMPEG",
	"\ufb00n", // the ligature folds to ff
	"INSTANT",
	"İstanbul", // folds to i and a combining dot
	"Maße",     // folds to masse
	"MASSF",
	"zebra",
	"Zebra 2",
	"ZEBRAS",
	"Ärger", // accented letters sort after all others
	"éclair",
	"E\u0301clairs", // e, then a combining accent: the same letter
	"ısırgan",       // the dotless i is another letter
	"ΣΊΣΥΦΟΣ",
	"σίσυφος!", // the final sigma is a sigma
	"漢字",
	"～", // before the next name in UTF-8, after it in UTF-16
	"\U0001d49c script",
	"😀",
}

// TestOrderIsTheSameOnBothDatabases lists the same rows in both databases.
func TestOrderIsTheSameOnBothDatabases(t *testing.T) {
	t.Parallel()
	data := store.Dataset{Clients: []store.Client{client("Contoso")}}
	mixed := slices.Clone(ordered)
	slices.SortFunc(mixed, func(a, b string) int { return slices.Compare([]rune(b)[1:], []rune(a)[1:]) })
	for _, name := range mixed {
		data.Clients = append(data.Clients, client(name))
		data.Vendors = append(data.Vendors, store.Vendor{ID: idOf(name), Name: name, CreatedAt: storetest.Now, UpdatedAt: storetest.Now})
		data.Categories = append(data.Categories, store.Category{ID: idOf(name), Name: name, CreatedAt: storetest.Now, UpdatedAt: storetest.Now})
		entry := catalogApp(name)
		data.CatalogApps = append(data.CatalogApps, entry)
		data.Apps = append(data.Apps, app("Contoso", name))
		data.AppCategories = append(data.AppCategories,
			store.CatalogAppCategory{CatalogAppID: idOf("zebra"), CategoryID: idOf(name)})
	}
	lists := listNames(t, storetest.SQLite(t), data)
	wantJSON(t, "the order of PostgreSQL", listNames(t, storetest.Postgres(t), data), lists)
	for list, names := range lists {
		names = slices.DeleteFunc(names, func(name string) bool { return name == "Contoso" })
		if !slices.Equal(names, ordered) {
			t.Errorf("%s come as\n%q\nwant\n%q", list, names, ordered)
		}
	}
}

// listNames returns the names of every list that has names, by name, in pages of four.
func listNames(t *testing.T, url string, data store.Dataset) map[string][]string {
	t.Helper()
	s := openSeeded(t, url, data)
	if err := s.ReplaceURLPatterns(t.Context(), idOf("zebra"), ordered, alice, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.ReplaceDesktopAliases(t.Context(), idOf("zebra"), ordered, alice, nil); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	lists := map[string][]string{
		"clients": pagedNames(t, store.ColumnName, func(c store.Client) string { return c.Name },
			func(p store.Page) (store.List[store.Client], error) {
				return s.ListClients(ctx, &store.Token{AllClients: true}, "", p)
			}),
		"vendors": pagedNames(t, store.ColumnName, func(v store.Vendor) string { return v.Name },
			func(p store.Page) (store.List[store.Vendor], error) { return s.ListVendors(ctx, "", p) }),
		"categories": pagedNames(t, store.ColumnName, func(c store.Category) string { return c.Name },
			func(p store.Page) (store.List[store.Category], error) { return s.ListCategories(ctx, "", p) }),
		"catalog apps": pagedNames(t, store.ColumnCanonicalName, func(a *store.CatalogApp) string { return a.CanonicalName },
			func(p store.Page) (store.List[*store.CatalogApp], error) {
				return s.ListCatalogApps(ctx, store.CatalogFilter{}, p)
			}),
		"apps": pagedNames(t, store.ColumnCanonicalName, func(a store.App) string { return a.Catalog.CanonicalName },
			func(p store.Page) (store.List[store.App], error) {
				return s.ListApps(ctx, idOf("Contoso"), store.AppFilter{}, p)
			}),
		"patterns": pagedNames(t, store.ColumnPattern, func(p store.URLPattern) string { return p.Pattern },
			func(p store.Page) (store.List[store.URLPattern], error) {
				return s.ListURLPatterns(ctx, idOf("zebra"), "", p)
			}),
		"aliases": pagedNames(t, store.ColumnAlias, func(a store.DesktopAlias) string { return a.Alias },
			func(p store.Page) (store.List[store.DesktopAlias], error) {
				return s.ListDesktopAliases(ctx, idOf("zebra"), "", p)
			}),
	}
	for _, c := range must(s.GetCatalogApp(ctx, idOf("zebra")))(t).Categories {
		lists["categories of one app"] = append(lists["categories of one app"], c.Name)
	}
	for _, c := range must(s.AllClients(ctx))(t) {
		lists["all clients"] = append(lists["all clients"], c.Name)
	}
	return lists
}

// pagedNames reads a list in both directions. One result must be the reverse of the other.
func pagedNames[T any](t *testing.T, by store.Column, name func(T) string, list func(store.Page) (store.List[T], error)) []string {
	t.Helper()
	var ways [2][]string
	for way, desc := range []bool{false, true} {
		for p := (store.Page{Size: 4, SortBy: by, Desc: desc}); ; {
			page := must(list(p))(t)
			for _, row := range page.Rows {
				ways[way] = append(ways[way], name(row))
			}
			if page.Next == nil {
				break
			}
			p.After = page.Next
		}
	}
	slices.Reverse(ways[1])
	if !slices.Equal(ways[0], ways[1]) {
		t.Errorf("forwards\n%q\nbackwards, reversed\n%q", ways[0], ways[1])
	}
	return ways[0]
}
