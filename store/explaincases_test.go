package store_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// planCase is one way to call a method, with the exceptions from the rules that its statements may make.
type planCase struct {
	name        string
	run         func(ctx context.Context, s *store.Store, f *planFixture) error
	keyset      string // the index that a cursor continues in
	sorts       int    // how many rows may be sorted, if more than a page; a comment says why
	everyClient string // why it may read rows of more than one client
	shared      string // a column of the statement that several calls share on PostgreSQL
	memory      bool   // it may need no statement
}

// The sizes of a planFixture.
const (
	planClients = 160 // clients with apps, so many that the apps of one are few
	planOwned   = 230 // apps of each client: several pages
	planPage    = 15  // rows of a page
	planEntries = 250 // catalog apps
	planTokens  = 600 // tokens
)

// planFixture is the data that the cases read and write.
type planFixture struct {
	client uuid.UUID
	token  *store.Token // covers three clients
	secret string
	names  []string       // of the catalog
	apps   []store.AppKey // of the client; no case has used them
	busy   store.AppKey   // has a long history
	owned  []string       // names of the catalog apps that the client has at first
	free   []uuid.UUID    // catalog apps that the client does not have; no case has used them
	serial int            // makes new names
}

func (f *planFixture) next(what string) string {
	f.serial++
	return fmt.Sprintf("%s %d", what, f.serial)
}

// anApp returns an app that no other case uses.
func (f *planFixture) anApp() store.AppKey {
	key := f.apps[0]
	f.apps = f.apps[1:]
	return key
}

// aFree returns a catalog app that the client does not have.
func (f *planFixture) aFree() uuid.UUID {
	id := f.free[0]
	f.free = f.free[1:]
	return id
}

// planData returns clients with apps, and 19 times as many clients without. Of the types, vendors and categories, each has one that is
// common in the catalog and one that is rare. All names contain "app", few contain "rare".
func planData(clients int) store.Dataset {
	data := store.Dataset{
		Vendors:    []store.Vendor{{ID: idOf("Acme"), Name: "Acme"}, {ID: idOf("Zeta"), Name: "Zeta"}},
		Categories: []store.Category{{ID: idOf("Chat"), Name: "Chat"}, {ID: idOf("Mail"), Name: "Mail"}},
	}
	for n := range planEntries {
		entry := catalogApp(fmt.Sprintf("App %03d%s", n*7919%planEntries, map[bool]string{true: " rare"}[n%20 == 0]))
		entry.Type, entry.VendorID = new("desktop"), new(idOf("Acme"))
		link := store.CatalogAppCategory{CatalogAppID: entry.ID, CategoryID: idOf("Chat")}
		if n%15 == 0 {
			entry.Type, entry.VendorID, link.CategoryID = new("web"), new(idOf("Zeta")), idOf("Mail")
		}
		data.CatalogApps = append(data.CatalogApps, entry)
		data.AppCategories = append(data.AppCategories, link)
	}
	for n := range 20 * clients {
		data.Clients = append(data.Clients, client(fmt.Sprintf("Client %d", n)))
	}
	// Each client gets its next app before any gets the one after, so that the apps of one client are not neighbors in the table.
	for n := range planOwned {
		for c := range clients {
			a := app(fmt.Sprintf("Client %d", c), data.CatalogApps[(n*7+c*17)%planEntries].CanonicalName)
			a.IsFavorite, a.IsApproved = n%5 == 0, n%2 == 0
			a.CreatedAt = storetest.Now.Add(time.Duration(n*31%planOwned) * time.Minute)
			a.UpdatedAt = a.CreatedAt.Add(time.Duration(n*17%planOwned) * time.Hour)
			data.Apps = append(data.Apps, a)
		}
	}
	return data
}

var planActor = store.Actor{ID: idOf("planner"), Name: "planner", RequestID: "plan-1"}

// listAppCases returns the same cases for every filter.
func listAppCases() []planCase {
	var cases []planCase
	for _, filter := range []struct {
		name string
		f    store.AppFilter
		few  bool // the rows that match may be sorted: at most the client's apps
	}{
		{name: "all"},
		{name: "favorites", f: store.AppFilter{IsFavorite: new(false)}},
		{name: "approved", f: store.AppFilter{IsApproved: new(true)}},
		{name: "much of a name", f: store.AppFilter{Query: "APP"}},
		{name: "much of a type", f: store.AppFilter{Type: new("desktop")}},
		{name: "much of a vendor", f: store.AppFilter{VendorID: new(idOf("Acme"))}},
		{name: "much of a category", f: store.AppFilter{CategoryID: new(idOf("Chat"))}},
		// The planner assumes independent conditions, so it expects fewer rows than there are.
		{name: "much of everything", few: true, f: store.AppFilter{
			Query: "a", Type: new("desktop"), VendorID: new(idOf("Acme")), CategoryID: new(idOf("Chat")), IsFavorite: new(false),
		}},
		{name: "few", few: true, f: store.AppFilter{Query: "rare", IsFavorite: new(false)}},
	} {
		for _, order := range []struct {
			by    store.Column
			index string
		}{
			{store.ColumnCanonicalName, "apps_by_name"}, {store.ColumnCreatedAt, "apps_by_creation"}, {store.ColumnUpdatedAt, ""},
		} {
			pages := eachPage(order.by, order.index, func(ctx context.Context, s *store.Store, f *planFixture, p store.Page) (*store.Position, error) {
				if filter.few {
					p.Size = 2
				}
				list, err := s.ListApps(ctx, f.client, filter.f, p)
				return list.Next, err
			})
			for i := range pages {
				pages[i].name = filter.name + " " + pages[i].name
				// No index has updated_at, because it would prevent HOT updates. All apps of the client are sorted.
				if order.by == store.ColumnUpdatedAt {
					pages[i].sorts = planEntries
				}
				if filter.few {
					pages[i].sorts, pages[i].keyset = planEntries, ""
				}
			}
			cases = append(cases, pages...)
		}
	}
	return append(cases, planCase{name: "of nobody", run: func(ctx context.Context, s *store.Store, _ *planFixture) error {
		_, err := s.ListApps(ctx, idOf("nobody"), store.AppFilter{}, fullPage(store.ColumnCanonicalName))
		return missing(err)
	}})
}

// missing fails unless the error is the NotFoundError that a case expects.
func missing(err error) error {
	if want := (*store.NotFoundError)(nil); !errors.As(err, &want) {
		return fmt.Errorf("error is %w, want NotFoundError", err)
	}
	return nil
}
