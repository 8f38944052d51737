package store_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// TestQueryIsALiteralPartOfTheName searches every list that takes a query.
func TestQueryIsALiteralPartOfTheName(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		names := []string{
			"100% Pure", "100 Proof", "snake_case", "snakeXcase", `back\slash`, `back\\slash`, "it's", `say "hi"`,
			"Straße", "ΣΊΣΥΦΟΣ", "İzmir", "ısırgan", "IGLOO", "Éclair", "E\u0301clat", "😀 smile", "  two", "Slack",
		}
		data := store.Dataset{Clients: []store.Client{client("Contoso")}}
		for _, name := range names {
			data.Clients = append(data.Clients, client(name))
			data.Vendors = append(data.Vendors, store.Vendor{ID: idOf(name), Name: name})
			data.Categories = append(data.Categories, store.Category{ID: idOf(name), Name: name})
			data.CatalogApps = append(data.CatalogApps, catalogApp(name))
			data.Apps = append(data.Apps, app("Contoso", name))
		}
		s := openSeeded(t, url, data)
		if err := s.ReplaceURLPatterns(t.Context(), idOf("Slack"), names, alice, nil); err != nil {
			t.Fatal(err)
		}
		if err := s.ReplaceDesktopAliases(t.Context(), idOf("Slack"), names, alice, nil); err != nil {
			t.Fatal(err)
		}
		for q, want := range map[string][]string{
			"%":         {"100% Pure"},
			"0% p":      {"100% Pure"},
			"100":       {"100% Pure", "100 Proof"},
			"_":         {"snake_case"},
			"E_C":       {"snake_case"},
			`\`:         {`back\slash`, `back\\slash`},
			`\\`:        {`back\\slash`},
			`\%`:        {},
			"'":         {"it's"},
			`"`:         {`say "hi"`},
			"' OR 1=1;": {},
			"STRASSE":   {"Straße"},
			"ß":         {"Straße"},
			"ẞ":         {"Straße"},
			"σίσυφος":   {"ΣΊΣΥΦΟΣ"},
			"ς":         {"ΣΊΣΥΦΟΣ"},
			"İ":         {"İzmir"},
			"i\u0307":   {"İzmir"},
			"ı":         {"ısırgan"},
			"ig":        {"IGLOO"},
			"É":         {"Éclair", "E\u0301clat"},
			"é":         {"Éclair", "E\u0301clat"},
			"e\u0301":   {"Éclair", "E\u0301clat"},
			"ÉCLA":      {"Éclair", "E\u0301clat"},
			"😀":         {"😀 smile"},
			"  ":        {"  two"},
			"sLACk":     {"Slack"},
			"slack ":    {},
			"zzz":       {},
			"":          names,
		} {
			for list, found := range search(t, s, q) {
				slices.Sort(found)
				if want := slices.Sorted(slices.Values(want)); !slices.Equal(found, want) {
					t.Errorf("%s with %q in the name: %q, want %q", list, q, found, want)
				}
			}
		}
	})
}

// search returns the names that each list finds, and checks the totals.
func search(t *testing.T, s *store.Store, q string) map[string][]string {
	t.Helper()
	ctx, found := t.Context(), map[string][]string{}
	note := func(list string, total int64, names []string) {
		if total != int64(len(names)) {
			t.Errorf("%s with %q in the name: the total of %q is %d", list, q, names, total)
		}
		found[list] = names
	}
	apps := must(s.ListApps(ctx, idOf("Contoso"), store.AppFilter{Query: q}, fullPage(store.ColumnCanonicalName)))(t)
	note("apps", apps.Total, appNames(apps.Rows))
	catalog := must(s.ListCatalogApps(ctx, store.CatalogFilter{Query: q}, fullPage(store.ColumnUpdatedAt)))(t)
	note("catalog apps", catalog.Total, catalogNames(catalog.Rows))
	vendors := must(s.ListVendors(ctx, q, fullPage(store.ColumnName)))(t)
	note("vendors", vendors.Total, namesOf(vendors.Rows, func(v store.Vendor) string { return v.Name }))
	categories := must(s.ListCategories(ctx, q, fullPage(store.ColumnName)))(t)
	note("categories", categories.Total, namesOf(categories.Rows, func(c store.Category) string { return c.Name }))
	patterns := must(s.ListURLPatterns(ctx, idOf("Slack"), q, fullPage(store.ColumnPattern)))(t)
	note("patterns", patterns.Total, namesOf(patterns.Rows, func(p store.URLPattern) string { return p.Pattern }))
	aliases := must(s.ListDesktopAliases(ctx, idOf("Slack"), q, fullPage(store.ColumnAlias)))(t)
	note("aliases", aliases.Total, namesOf(aliases.Rows, func(a store.DesktopAlias) string { return a.Alias }))
	everybody := &store.Token{AllClients: true}
	clients := must(s.ListClients(ctx, everybody, q, fullPage(store.ColumnCreatedAt)))(t)
	others := slices.DeleteFunc(clients.Rows, func(c store.Client) bool { return c.Name == "Contoso" })
	note("clients", clients.Total-int64(len(clients.Rows)-len(others)), namesOf(others, func(c store.Client) string { return c.Name }))
	return found
}

func namesOf[T any](rows []T, name func(T) string) []string {
	names := []string{}
	for _, row := range rows {
		names = append(names, name(row))
	}
	return names
}

// TestFiltersCombine compares random combinations of filters with a linear search of the dataset.
func TestFiltersCombine(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		data := filterData()
		s := openSeeded(t, url, data)
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		found := 0
		for range 30 {
			var f store.AppFilter
			for range 1 + random.IntN(4) {
				switch random.IntN(6) {
				case 0:
					f.Query = []string{"app", "APP 1", "P 13", "nothing"}[random.IntN(4)]
				case 1:
					f.VendorID = new(idOf([]string{"Acme", "Zeta", "unknown"}[random.IntN(3)]))
				case 2:
					f.CategoryID = new(idOf([]string{"Chat", "Mail", "unknown"}[random.IntN(3)]))
				case 3:
					f.Type = new([]string{"desktop", "web", "Desktop"}[random.IntN(3)])
				case 4:
					f.IsFavorite = new(random.IntN(2) == 0)
				case 5:
					f.IsApproved = new(random.IntN(2) == 0)
				}
			}
			apps, catalog := matching(data, f)
			found += len(apps)
			gotApps := must(s.ListApps(t.Context(), idOf("Contoso"), f, fullPage(store.ColumnCreatedAt)))(t)
			checkFound(t, f, gotApps.Total, gotApps.Rows, func(a store.App) uuid.UUID { return a.ID }, apps)
			gotCatalog := must(s.ListCatalogApps(t.Context(), store.CatalogFilter{
				Query: f.Query, VendorID: f.VendorID, CategoryID: f.CategoryID, Type: f.Type,
			}, fullPage(store.ColumnCreatedAt)))(t)
			checkFound(t, f, gotCatalog.Total, gotCatalog.Rows, func(a *store.CatalogApp) uuid.UUID { return a.ID }, catalog)

			// The total is that of the filter, not of the page.
			if len(apps) > 1 {
				first := must(s.ListApps(t.Context(), idOf("Contoso"), f, store.Page{Size: 1, SortBy: store.ColumnUpdatedAt}))(t)
				second := must(s.ListApps(t.Context(), idOf("Contoso"), f, store.Page{Size: 1, SortBy: store.ColumnUpdatedAt, After: first.Next}))(t)
				if first.Total != int64(len(apps)) || second.Total != first.Total {
					t.Errorf("%s: the totals of the first two pages are %d and %d, want %d", asJSON(t, f), first.Total, second.Total, len(apps))
				}
			}
		}
		if found == 0 {
			t.Error("no filter matched anything")
		}
	})
}

// filterData returns five apps for every combination of values that filters select, and the same for another client. Some filters
// select more catalog apps than the store puts into a statement, some fewer.
func filterData() store.Dataset {
	data := store.Dataset{
		Clients:    []store.Client{client("Contoso"), client("Fabrikam")},
		Vendors:    []store.Vendor{{ID: idOf("Acme"), Name: "Acme"}, {ID: idOf("Zeta"), Name: "Zeta"}},
		Categories: []store.Category{{ID: idOf("Chat"), Name: "Chat"}, {ID: idOf("Mail"), Name: "Mail"}},
	}
	for i := range 5 * 3 * 4 * 3 * 4 {
		n := i % (3 * 4 * 3 * 4)
		entry := catalogApp(fmt.Sprintf("App %d", i))
		entry.VendorID = []*uuid.UUID{nil, new(idOf("Acme")), new(idOf("Zeta"))}[n%3]
		entry.Type = []*string{nil, new("desktop"), new("web")}[n/12%3]
		data.CatalogApps = append(data.CatalogApps, entry)
		for bit, category := range []string{"Chat", "Mail"} {
			if n/3%4&(1<<bit) != 0 {
				data.AppCategories = append(data.AppCategories,
					store.CatalogAppCategory{CatalogAppID: entry.ID, CategoryID: idOf(category)})
			}
		}
		mine, other := app("Contoso", entry.CanonicalName), app("Fabrikam", entry.CanonicalName)
		mine.IsFavorite, mine.IsApproved = n/36%2 == 1, n/72 == 1
		other.IsFavorite, other.IsApproved = true, true
		data.Apps = append(data.Apps, mine, other)
	}
	return data
}

// matching returns what a filter selects, by a linear search.
func matching(data store.Dataset, f store.AppFilter) (apps, catalog []uuid.UUID) {
	entries := map[uuid.UUID]bool{}
	for _, a := range data.CatalogApps {
		in := func(c uuid.UUID) bool {
			return slices.Contains(data.AppCategories, store.CatalogAppCategory{CatalogAppID: a.ID, CategoryID: c})
		}
		if strings.Contains(strings.ToLower(a.CanonicalName), strings.ToLower(f.Query)) &&
			(f.VendorID == nil || a.VendorID != nil && *a.VendorID == *f.VendorID) &&
			(f.Type == nil || a.Type != nil && *a.Type == *f.Type) &&
			(f.CategoryID == nil || in(*f.CategoryID)) {
			entries[a.ID] = true
			catalog = append(catalog, a.ID)
		}
	}
	for _, a := range data.Apps {
		if a.ClientID == idOf("Contoso") && entries[a.CatalogAppID] &&
			(f.IsFavorite == nil || a.IsFavorite == *f.IsFavorite) &&
			(f.IsApproved == nil || a.IsApproved == *f.IsApproved) {
			apps = append(apps, a.ID)
		}
	}
	return apps, catalog
}

func checkFound[T any](t *testing.T, f store.AppFilter, total int64, rows []T, id func(T) uuid.UUID, want []uuid.UUID) {
	t.Helper()
	var got []uuid.UUID
	for _, row := range rows {
		got = append(got, id(row))
	}
	compare := func(a, b uuid.UUID) int { return strings.Compare(a.String(), b.String()) }
	slices.SortFunc(got, compare)
	if want = slices.SortedFunc(slices.Values(want), compare); !slices.Equal(got, want) || total != int64(len(want)) {
		t.Errorf("%s finds %d rows, total %d, want %d:\n%v\nwant\n%v", asJSON(t, f), len(got), total, len(want), got, want)
	}
}
