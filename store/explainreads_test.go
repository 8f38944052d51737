package store_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/clientapps/clientapps/store"
)

// feedCases reads a feed from its beginning, from a time, and onwards.
func feedCases(everyClient string, list func(ctx context.Context, s *store.Store, f *planFixture, from store.ChangeStart) (store.ChangeList, error)) []planCase {
	past := time.Unix(0, 0)
	var cases []planCase
	for name, from := range map[string]store.ChangeStart{"from the beginning": {}, "since a time": {Since: &past}} {
		// Of a page's range of all changes, those of few clients may be sorted.
		cases = append(cases, planCase{name: name, everyClient: everyClient, sorts: 20_000, run: func(ctx context.Context, s *store.Store, f *planFixture) error {
			page, err := list(ctx, s, f, from)
			if err != nil {
				return err
			}
			return onlyErr(list(ctx, s, f, store.ChangeStart{After: &page.Next}))
		}})
	}
	return cases
}

// catalogFeedCases reads the feed of the catalog from its beginning, from a time, and onwards.
func catalogFeedCases() []planCase {
	past := time.Unix(0, 0)
	var cases []planCase
	for name, from := range map[string]store.ChangeStart{"from the beginning": {}, "since a time": {Since: &past}} {
		cases = append(cases, planCase{name: name, keyset: "catalog_changes_pkey", run: func(ctx context.Context, s *store.Store, _ *planFixture) error {
			page, err := s.ListCatalogChanges(ctx, from, planPage)
			if err != nil {
				return err
			}
			return onlyErr(s.ListCatalogChanges(ctx, store.ChangeStart{After: &page.Next}, planPage))
		}})
	}
	return cases
}

// readAtOnce reads apps at the same moment.
func readAtOnce(ctx context.Context, s *store.Store, keys []store.AppKey) error {
	errs := make([]error, len(keys))
	var running sync.WaitGroup
	for i, key := range keys {
		running.Go(func() { errs[i] = onlyErr(s.GetApp(ctx, key)) })
	}
	running.Wait()
	return errors.Join(errs...)
}

// planReads reads what is not a list of apps.
var planReads = map[string][]planCase{
	"ListApps": listAppCases(),
	// All that a page has is sorted, and the client's apps fit into one.
	"ExportApps": {
		{sorts: planEntries, run: func(ctx context.Context, s *store.Store, f *planFixture) error {
			return exportAll(s.ExportApps(ctx, f.client, store.AppFilter{}, store.Page{SortBy: store.ColumnCanonicalName}))
		}},
		{name: "that match", sorts: planEntries, run: func(ctx context.Context, s *store.Store, f *planFixture) error {
			return exportAll(s.ExportApps(ctx, f.client, store.AppFilter{
				Query: "a", CategoryID: new(idOf("Chat")), VendorID: new(idOf("Acme")), Type: new("desktop"), IsApproved: new(true),
			}, store.Page{SortBy: store.ColumnUpdatedAt, Desc: true}))
		}},
	},
	"ExportCatalog": {
		{sorts: 2 * planEntries, run: func(ctx context.Context, s *store.Store, _ *planFixture) error {
			return exportAll(s.ExportCatalog(ctx, store.CatalogFilter{}, store.Page{SortBy: store.ColumnCanonicalName}))
		}},
		{name: "that match", sorts: 2 * planEntries, run: func(ctx context.Context, s *store.Store, _ *planFixture) error {
			return exportAll(s.ExportCatalog(ctx, store.CatalogFilter{
				Query: "a", CategoryID: new(idOf("Chat")), VendorID: new(idOf("Acme")), Type: new("desktop"),
			}, store.Page{SortBy: store.ColumnCreatedAt}))
		}},
	},
	"GetApp": {
		{run: func(ctx context.Context, s *store.Store, f *planFixture) error {
			return onlyErr(s.GetApp(ctx, f.apps[0]))
		}},
		{name: "many at once", shared: "read_number", run: func(ctx context.Context, s *store.Store, f *planFixture) error {
			return readAtOnce(ctx, s, f.apps[:40])
		}},
		{name: "that is not there", run: func(ctx context.Context, s *store.Store, f *planFixture) error {
			return missing(onlyErr(s.GetApp(ctx, store.AppKey{ClientID: f.client, ID: idOf("nothing")})))
		}},
	},
	"ListAppChanges": eachPage(store.ColumnVersion, "app_changes_pkey", func(ctx context.Context, s *store.Store, f *planFixture, p store.Page) (*store.Position, error) {
		list, err := s.ListAppChanges(ctx, f.busy, p)
		return list.Next, err
	}),
	"ListChanges": feedCases("a client's feed reads the order of all changes, up to a bound", func(ctx context.Context, s *store.Store, f *planFixture, from store.ChangeStart) (store.ChangeList, error) {
		return s.ListChanges(ctx, f.client, store.ChangeFilter{}, from, planPage)
	}),
	"ListAllChanges": append(feedCases("the changes of all clients", func(ctx context.Context, s *store.Store, _ *planFixture, from store.ChangeStart) (store.ChangeList, error) {
		return s.ListAllChanges(ctx, &store.Token{AllClients: true}, store.ChangeFilter{}, from, planPage)
	}), feedCases("the changes of some clients", func(ctx context.Context, s *store.Store, f *planFixture, from store.ChangeStart) (store.ChangeList, error) {
		return s.ListAllChanges(ctx, f.token, store.ChangeFilter{Fields: []string{"app"}}, from, planPage)
	})...),
	"ListCatalogChanges": catalogFeedCases(),
	"ListClients": append(clientPages("of all", store.Token{AllClients: true}), planCase{
		name: "of some", sorts: 3, run: func(ctx context.Context, s *store.Store, f *planFixture) error {
			// What the token covers is looked up and sorted.
			return onlyErr(s.ListClients(ctx, f.token, "client", store.Page{Size: planPage, SortBy: store.ColumnName}))
		},
	}),
	"GetClient": {{run: func(ctx context.Context, s *store.Store, f *planFixture) error {
		return onlyErr(s.GetClient(ctx, f.client))
	}}},
	"AllClients": {{everyClient: "the command prints them all", sorts: 30 * planClients, run: func(ctx context.Context, s *store.Store, _ *planFixture) error {
		return onlyErr(s.AllClients(ctx))
	}}},
	"Authenticate": {{memory: true, run: func(ctx context.Context, s *store.Store, f *planFixture) error {
		return onlyErr(s.Authenticate(ctx, f.secret))
	}}},
	"GetToken": {{run: func(ctx context.Context, s *store.Store, f *planFixture) error {
		return onlyErr(s.GetToken(ctx, f.token, f.token.ID))
	}}},
	"ListTokens": append(tokenPages("of all", func(*planFixture) *store.Token { return &store.Token{AllClients: true} }),
		tokenPages("of some", func(f *planFixture) *store.Token { return f.token })...),
	"AllTokens": {{sorts: 2 * planTokens, run: func(ctx context.Context, s *store.Store, _ *planFixture) error {
		return onlyErr(s.AllTokens(ctx)) // the command prints them all
	}}},
	"GetCatalogApp": {{memory: true, run: func(ctx context.Context, s *store.Store, f *planFixture) error {
		return onlyErr(s.GetCatalogApp(ctx, idOf(f.names[0])))
	}}},
	"GetCatalogSummary": {{memory: true, run: func(ctx context.Context, s *store.Store, _ *planFixture) error {
		return onlyErr(s.GetCatalogSummary(ctx))
	}}},
	"ListCatalogApps": eachPage(store.ColumnUpdatedAt, "", func(ctx context.Context, s *store.Store, _ *planFixture, p store.Page) (*store.Position, error) {
		list, err := s.ListCatalogApps(ctx, store.CatalogFilter{Query: "app", Type: new("desktop")}, p)
		return list.Next, err
	}),
	"ListVendors": {{run: func(ctx context.Context, s *store.Store, _ *planFixture) error {
		return onlyErr(s.ListVendors(ctx, "a", store.Page{Size: planPage, SortBy: store.ColumnName}))
	}}},
	"ListCategories": {{run: func(ctx context.Context, s *store.Store, _ *planFixture) error {
		return onlyErr(s.ListCategories(ctx, "a", store.Page{Size: planPage, SortBy: store.ColumnName}))
	}}},
	"ListURLPatterns": append(
		eachPage(store.ColumnPattern, "", patternPage),
		eachPage(store.ColumnCreatedAt, "", patternPage)...),
	"ListDesktopAliases": append(
		eachPage(store.ColumnAlias, "", aliasPage),
		eachPage(store.ColumnCreatedAt, "", aliasPage)...),
}

// exportAll reads all rows.
func exportAll[T any](rows iter.Seq2[T, error]) error {
	for _, err := range rows {
		if err != nil {
			return err
		}
	}
	return nil
}

func patternPage(ctx context.Context, s *store.Store, f *planFixture, p store.Page) (*store.Position, error) {
	list, err := s.ListURLPatterns(ctx, idOf(f.names[0]), "", p)
	return list.Next, err
}

func aliasPage(ctx context.Context, s *store.Store, f *planFixture, p store.Page) (*store.Position, error) {
	list, err := s.ListDesktopAliases(ctx, idOf(f.names[0]), "", p)
	return list.Next, err
}

func tokenPages(name string, by func(*planFixture) *store.Token) []planCase {
	pages := eachPage(store.ColumnCreatedAt, "tokens_by_creation", func(ctx context.Context, s *store.Store, f *planFixture, p store.Page) (*store.Position, error) {
		list, err := s.ListTokens(ctx, by(f), p)
		return list.Next, err
	})
	for i := range pages {
		pages[i].name = name + ", " + pages[i].name
		pages[i].sorts = 2 * planPage // the clients of a page's tokens
	}
	return pages
}

func clientPages(name string, token store.Token) []planCase {
	var cases []planCase
	for by, index := range map[store.Column]string{
		store.ColumnName: "clients_by_name", store.ColumnCreatedAt: "clients_by_creation", store.ColumnUpdatedAt: "clients_by_change",
	} {
		for _, q := range []string{"", "client"} {
			pages := eachPage(by, index, func(ctx context.Context, s *store.Store, _ *planFixture, p store.Page) (*store.Position, error) {
				list, err := s.ListClients(ctx, &token, q, p)
				return list.Next, err
			})
			for i := range pages {
				pages[i].name = fmt.Sprintf("%s with %q, %s", name, q, pages[i].name)
				pages[i].everyClient = "to count them"
			}
			cases = append(cases, pages...)
		}
	}
	return cases
}

// second is the error of a call whose result does not matter.
func onlyErr[T any](_ T, err error) error { return err }
