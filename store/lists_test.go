package store_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/casefold"
	"github.com/clientapps/clientapps/store/storetest"
)

// order is one way to sort a list: compare orders rows by the sort key alone.
type order[T any] struct {
	by      store.Column
	compare func(a, b T) int
}

func byKey[T any](by store.Column, key func(T) string) order[T] {
	return order[T]{by, func(a, b T) int { return cmp.Compare(key(a), key(b)) }}
}

func byTime[T any](by store.Column, at func(T) time.Time) order[T] {
	return order[T]{by, func(a, b T) int { return at(a).Compare(at(b)) }}
}

// listed is a list with all its orders.
type listed[T any] struct {
	name   string
	rows   int
	list   func(ctx context.Context, p store.Page) (store.List[T], error)
	id     func(T) uuid.UUID
	orders []order[T]
}

// TestListPages reads every list in every order, in pages of several sizes.
func TestListPages(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		data := listData()
		s := openSeeded(t, url, data, withClock(clock))
		slack := data.CatalogApps[0].ID
		// A replacement keeps the rows of texts that stay, so these are created at three times.
		for n := range 3 {
			clock.Advance(time.Minute)
			if err := s.ReplaceURLPatterns(t.Context(), slack, []string{"b", "a", "B*", "ä", "Z"}[:2*n+1], alice, nil); err != nil {
				t.Fatal(err)
			}
			if err := s.ReplaceDesktopAliases(t.Context(), slack, []string{"y", "x", "Y2", "İ", "ß"}[:2*n+1], alice, nil); err != nil {
				t.Fatal(err)
			}
		}
		checkPages(t, listed[store.App]{
			"apps", len(data.Apps), func(ctx context.Context, p store.Page) (store.List[store.App], error) {
				return s.ListApps(ctx, idOf("Contoso"), store.AppFilter{}, p)
			}, func(a store.App) uuid.UUID { return a.ID },
			[]order[store.App]{
				byKey(store.ColumnCanonicalName, func(a store.App) string { return casefold.Name(a.Catalog.CanonicalName) }),
				byTime(store.ColumnCreatedAt, func(a store.App) time.Time { return a.CreatedAt }),
				byTime(store.ColumnUpdatedAt, func(a store.App) time.Time { return a.UpdatedAt }),
			},
		})
		checkPages(t, listed[*store.CatalogApp]{
			"catalog apps", len(data.CatalogApps), func(ctx context.Context, p store.Page) (store.List[*store.CatalogApp], error) {
				return s.ListCatalogApps(ctx, store.CatalogFilter{}, p)
			}, func(a *store.CatalogApp) uuid.UUID { return a.ID },
			[]order[*store.CatalogApp]{
				byKey(store.ColumnCanonicalName, func(a *store.CatalogApp) string { return casefold.Name(a.CanonicalName) }),
				byTime(store.ColumnCreatedAt, func(a *store.CatalogApp) time.Time { return a.CreatedAt }),
				byTime(store.ColumnUpdatedAt, func(a *store.CatalogApp) time.Time { return a.UpdatedAt }),
			},
		})
		checkPages(t, listed[store.Vendor]{
			"vendors", len(data.Vendors), func(ctx context.Context, p store.Page) (store.List[store.Vendor], error) {
				return s.ListVendors(ctx, "", p)
			}, func(v store.Vendor) uuid.UUID { return v.ID },
			[]order[store.Vendor]{byKey(store.ColumnName, func(v store.Vendor) string { return casefold.Name(v.Name) })},
		})
		checkPages(t, listed[store.Category]{
			"categories", len(data.Categories), func(ctx context.Context, p store.Page) (store.List[store.Category], error) {
				return s.ListCategories(ctx, "", p)
			}, func(c store.Category) uuid.UUID { return c.ID },
			[]order[store.Category]{byKey(store.ColumnName, func(c store.Category) string { return casefold.Name(c.Name) })},
		})
		checkPages(t, listed[store.Client]{
			"clients", len(data.Clients), func(ctx context.Context, p store.Page) (store.List[store.Client], error) {
				return s.ListClients(ctx, &store.Token{AllClients: true}, "", p)
			}, func(c store.Client) uuid.UUID { return c.ID },
			[]order[store.Client]{
				byKey(store.ColumnName, func(c store.Client) string { return casefold.Name(c.Name) }),
				byTime(store.ColumnCreatedAt, func(c store.Client) time.Time { return c.CreatedAt }),
				byTime(store.ColumnUpdatedAt, func(c store.Client) time.Time { return c.UpdatedAt }),
			},
		})
		checkPages(t, listed[store.URLPattern]{
			"patterns", 5, func(ctx context.Context, p store.Page) (store.List[store.URLPattern], error) {
				return s.ListURLPatterns(ctx, slack, "", p)
			}, func(p store.URLPattern) uuid.UUID { return p.ID },
			[]order[store.URLPattern]{
				byKey(store.ColumnPattern, func(p store.URLPattern) string { return casefold.Name(p.Pattern) }),
				byTime(store.ColumnCreatedAt, func(p store.URLPattern) time.Time { return p.CreatedAt }),
			},
		})
		checkPages(t, listed[store.DesktopAlias]{
			"aliases", 5, func(ctx context.Context, p store.Page) (store.List[store.DesktopAlias], error) {
				return s.ListDesktopAliases(ctx, slack, "", p)
			}, func(a store.DesktopAlias) uuid.UUID { return a.ID },
			[]order[store.DesktopAlias]{
				byKey(store.ColumnAlias, func(a store.DesktopAlias) string { return casefold.Name(a.Alias) }),
				byTime(store.ColumnCreatedAt, func(a store.DesktopAlias) time.Time { return a.CreatedAt }),
			},
		})
		checkPages(t, listed[store.App]{
			"apps of a client that has none", 0, func(ctx context.Context, p store.Page) (store.List[store.App], error) {
				return s.ListApps(ctx, idOf("Fabrikam"), store.AppFilter{}, p)
			}, func(a store.App) uuid.UUID { return a.ID },
			[]order[store.App]{byTime(store.ColumnCreatedAt, func(a store.App) time.Time { return a.CreatedAt })},
		})
	})
}

// listData returns nine rows of everything, with few different times, and clients of the same name.
func listData() store.Dataset {
	times := func(n int) (created, updated time.Time) {
		return storetest.Now.Add(time.Duration(n%3) * time.Millisecond), storetest.Now.Add(time.Duration(n*n%4) * time.Hour)
	}
	data := store.Dataset{Clients: []store.Client{client("Contoso")}}
	for n, name := range []string{"Slack", "slack off", "Éclair", "eclair", "10", "9", "zoom", "Zoom 2", "😀"} {
		entry, mine := catalogApp(name), app("Contoso", name)
		entry.CreatedAt, entry.UpdatedAt = times(n)
		mine.CreatedAt, mine.UpdatedAt = times(n + 1)
		customer := client([]string{"Fabrikam", "FABRIKAM", "Tailspin"}[n%3])
		customer.CreatedAt, customer.UpdatedAt = times(n)
		if n > 0 {
			customer.ID = idOf(name + " Ltd.")
		}
		data.CatalogApps = append(data.CatalogApps, entry)
		data.Apps = append(data.Apps, mine)
		data.Clients = append(data.Clients, customer)
		data.Vendors = append(data.Vendors, store.Vendor{ID: idOf(name), Name: name, CreatedAt: storetest.Now, UpdatedAt: storetest.Now})
		data.Categories = append(data.Categories, store.Category{ID: idOf(name), Name: name, CreatedAt: storetest.Now, UpdatedAt: storetest.Now})
	}
	data.Clients[1].ID = idOf("Fabrikam")
	return data
}

func checkPages[T any](t *testing.T, l listed[T]) {
	t.Helper()
	for _, o := range l.orders {
		for _, desc := range []bool{false, true} {
			for _, size := range slices.Compact([]int{1, 2, max(l.rows-1, 1), max(l.rows, 1), l.rows + 1, 500}) {
				what := fmt.Sprintf("%s by %s, descending %t, %d a page", l.name, o.by, desc, size)
				var rows []T
				pages := 0
				for page := (store.Page{Size: size, SortBy: o.by, Desc: desc}); ; {
					list, err := l.list(t.Context(), page)
					if err != nil {
						t.Fatalf("%s: %v", what, err)
					}
					pages++
					rows = append(rows, list.Rows...)
					if list.Total != int64(l.rows) {
						t.Errorf("%s: total is %d, want %d", what, list.Total, l.rows)
					}
					if list.Next == nil || pages > l.rows {
						break
					}
					if len(list.Rows) != size {
						t.Errorf("%s: page %d has %d rows and is not the last", what, pages, len(list.Rows))
					}
					page.After = list.Next
				}
				if want := max((l.rows+size-1)/size, 1); pages != want || len(rows) != l.rows {
					t.Errorf("%s: %d rows on %d pages, want %d on %d", what, len(rows), pages, l.rows, want)
				}
				total := func(a, b T) int {
					return cmp.Or(o.compare(a, b), cmp.Compare(l.id(a).String(), l.id(b).String()))
				}
				for n := range max(len(rows)-1, 0) {
					if before := total(rows[n], rows[n+1]); before == 0 || (before < 0) == desc {
						t.Errorf("%s: row %d is %s, then comes %s", what, n, asJSON(t, rows[n]), asJSON(t, rows[n+1]))
					}
				}
			}
		}
	}
}

// TestListPositionOutlivesItsRow deletes, renames or hides the last row of a page. The next page begins with the row behind it.
func TestListPositionOutlivesItsRow(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		data := store.Dataset{Clients: []store.Client{client("Contoso")}}
		names := []string{"a", "b", "c", "d", "e", "f"}
		for _, name := range names {
			data.CatalogApps = append(data.CatalogApps, catalogApp(name))
			data.Apps = append(data.Apps, app("Contoso", name))
		}
		s := openSeeded(t, url, data)
		page := func(after *store.Position) ([]string, *store.Position) {
			list := must(s.ListApps(t.Context(), idOf("Contoso"), store.AppFilter{},
				store.Page{Size: 2, SortBy: store.ColumnCanonicalName, After: after}))(t)
			return appNames(list.Rows), list.Next
		}
		catalogPage := func(after *store.Position) ([]string, *store.Position) {
			list := must(s.ListCatalogApps(t.Context(), store.CatalogFilter{},
				store.Page{Size: 2, SortBy: store.ColumnCanonicalName, After: after}))(t)
			return catalogNames(list.Rows), list.Next
		}
		_, b := page(nil)
		_, catalogB := catalogPage(nil)

		rename := func(from, to string) {
			t.Helper()
			must(s.UpdateCatalogApp(t.Context(), idOf(from), store.Fields{store.ColumnCanonicalName: to}, nil, alice, nil))(t)
		}
		rename("b", "z")
		got, d := page(b)
		wantJSON(t, "the page behind b, which is z now", got, []string{"c", "d"})
		got, _ = catalogPage(catalogB)
		wantJSON(t, "the catalog's page behind b, which is z now", got, []string{"c", "d"})

		rename("b", "0")
		if err := s.RemoveApp(t.Context(), appKey("Contoso", "d"), alice, nil); err != nil {
			t.Fatal(err)
		}
		if err := s.DeleteCatalogApp(t.Context(), idOf("d"), alice, nil); err != nil {
			t.Fatal(err)
		}
		got, last := page(d)
		wantJSON(t, "the page behind d, which is gone", got, []string{"e", "f"})
		if last != nil {
			t.Errorf("the last page has a next page at %v", *last)
		}
		got, _ = page(b)
		wantJSON(t, "the page behind b", got, []string{"c", "e"})
		got, _ = catalogPage(d)
		wantJSON(t, "the catalog's page behind d, which is gone", got, []string{"e", "f"})
	})
}

func TestListRefusals(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		s := openSeeded(t, url, storetest.Page())
		ctx, token := t.Context(), &store.Token{AllClients: true}
		nobody := idOf("nobody")

		for _, p := range []store.Page{
			fullPage(store.ColumnCanonicalName), fullPage(store.ColumnCreatedAt),
			{Size: 1, SortBy: store.ColumnCanonicalName, After: &store.Position{SortKey: "s", TieBreaker: nobody.String()}},
		} {
			_, err := s.ListApps(ctx, nobody, store.AppFilter{Query: "slack"}, p)
			wantError(t, err, &store.NotFoundError{Kind: store.KindClient, ID: nobody})
		}

		lists := map[string]func(store.Page) error{
			"apps": func(p store.Page) error {
				_, err := s.ListApps(ctx, storetest.ClientID, store.AppFilter{}, p)
				return err
			},
			"catalog":  func(p store.Page) error { _, err := s.ListCatalogApps(ctx, store.CatalogFilter{}, p); return err },
			"vendors":  func(p store.Page) error { _, err := s.ListVendors(ctx, "", p); return err },
			"category": func(p store.Page) error { _, err := s.ListCategories(ctx, "", p); return err },
			"clients":  func(p store.Page) error { _, err := s.ListClients(ctx, token, "", p); return err },
			"patterns": func(p store.Page) error { _, err := s.ListURLPatterns(ctx, storetest.CatalogID, "", p); return err },
			"aliases":  func(p store.Page) error { _, err := s.ListDesktopAliases(ctx, storetest.CatalogID, "", p); return err },
		}
		for name, list := range lists {
			for _, by := range []store.Column{"", "id", "name_key", "client_id; DROP TABLE apps", store.ColumnLicenseCount} {
				if err := list(fullPage(by)); err == nil {
					t.Errorf("%s can be sorted by %q", name, by)
				}
			}
		}
		for _, name := range []string{"apps", "catalog", "clients", "patterns", "aliases"} {
			p := fullPage(store.ColumnCreatedAt)
			p.After = &store.Position{SortKey: "yesterday", TieBreaker: nobody.String()}
			if err := lists[name](p); err == nil {
				t.Errorf("%s go on behind the time %q", name, p.After.SortKey)
			}
		}
	})
}

func appNames(rows []store.App) []string {
	names := []string{}
	for _, a := range rows {
		names = append(names, a.Catalog.CanonicalName)
	}
	return names
}

func catalogNames(rows []*store.CatalogApp) []string {
	names := []string{}
	for _, a := range rows {
		names = append(names, a.CanonicalName)
	}
	return names
}

// TestListNeedsASize checks that lists refuse pages without a size.
func TestListNeedsASize(t *testing.T) {
	eachDatabase(t, func(t *testing.T, _ string, s *store.Store) {
		for _, size := range []int{0, -1} {
			if _, err := s.ListApps(t.Context(), pageApp.ClientID, store.AppFilter{}, store.Page{Size: size, SortBy: store.ColumnCanonicalName}); err == nil {
				t.Errorf("a page of %d apps is accepted", size)
			}
			if _, err := s.ListCatalogApps(t.Context(), store.CatalogFilter{}, store.Page{Size: size, SortBy: store.ColumnCanonicalName}); err == nil {
				t.Errorf("a page of %d catalog apps is accepted", size)
			}
		}
	})
}
