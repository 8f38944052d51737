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

// planCase is one way to call a method, and what its statements may do beyond the rules.
type planCase struct {
	name        string
	run         func(ctx context.Context, s *store.Store, w *planFixture) error
	keyset      string // the index that a cursor continues in
	sorts       int    // how many rows may be sorted, when no more than a page: the case says why
	everyClient string // why it may read what is not one client's
	batch       bool   // patches share a statement
	memory      bool   // it may be answered without a statement
}

// planPage is the size of the pages here, planOwned how many apps a client has: several pages.
const (
	planClients = 160
	planOwned   = 230
	planPage    = 15
	planEntries = 250
)

// planFixture is what the cases work on. Many clients have apps, so that those of one are few.
type planFixture struct {
	client uuid.UUID
	token  *store.Token // covers three clients
	secret string
	names  []string       // of the catalog
	apps   []store.AppKey // of the client
	busy   store.AppKey   // has a long history
	owned  []string       // names of the catalog apps that the client has at first
	free   []uuid.UUID    // the catalog apps that it does not have
	serial int            // makes what is new
}

func (w *planFixture) next(what string) string {
	w.serial++
	return fmt.Sprintf("%s %d", what, w.serial)
}

// anApp is one that no other case is about.
func (w *planFixture) anApp() store.AppKey {
	key := w.apps[0]
	w.apps = w.apps[1:]
	return key
}

// aFree is a catalog app that the client does not have.
func (w *planFixture) aFree() uuid.UUID {
	id := w.free[0]
	w.free = w.free[1:]
	return id
}

// planData has a type, a vendor and a category that most of the catalog has and ones that few have; every name has "app"
// in it, few have "rare".
func planData() store.Dataset {
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
	for n := range 20 * planClients {
		data.Clients = append(data.Clients, client(fmt.Sprintf("Client %d", n)))
	}
	// One client after the other gets one app, as it would come about.
	for n := range planOwned {
		for c := range planClients {
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

// listAppCases are the same for every filter.
func listAppCases() []planCase {
	var cases []planCase
	for _, filter := range []struct {
		name string
		f    store.AppFilter
		few  bool // what is found may be sorted: at most the client's apps
	}{
		{name: "all"},
		{name: "favorites", f: store.AppFilter{IsFavorite: new(false)}},
		{name: "approved", f: store.AppFilter{IsApproved: new(true)}},
		{name: "much of a name", f: store.AppFilter{Query: "APP"}},
		{name: "much of a type", f: store.AppFilter{Type: new("desktop")}},
		{name: "much of a vendor", f: store.AppFilter{VendorID: new(idOf("Acme"))}},
		{name: "much of a category", f: store.AppFilter{CategoryID: new(idOf("Chat"))}},
		// The planner takes the conditions for independent of each other, and expects less than there is.
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
			pages := eachPage(order.by, order.index, func(ctx context.Context, s *store.Store, w *planFixture, p store.Page) (*store.Position, error) {
				if filter.few {
					p.Size = 2
				}
				list, err := s.ListApps(ctx, w.client, filter.f, p)
				return list.Next, err
			})
			for i := range pages {
				pages[i].name = filter.name + " " + pages[i].name
				// No index has updated_at: it would end HOT updates. The client's apps are sorted, which bounds it.
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

// missing is the error that a case is about.
func missing(err error) error {
	if want := (*store.NotFoundError)(nil); !errors.As(err, &want) {
		return fmt.Errorf("error is %w, want NotFoundError", err)
	}
	return nil
}
