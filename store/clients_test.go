package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

func TestClient(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		s := openSeeded(t, url, storetest.Page(), withClock(clock))
		clock.Advance(time.Minute)
		made := must(s.CreateClient(t.Context(), uuid.New(), "Weiß GmbH", alice))(t)
		want := store.Client{
			ID: made.ID, Name: "Weiß GmbH", NameKey: "weiss gmbh", Status: "active", Version: 1,
			ActorID: alice.ID, ActorName: alice.Name, RequestID: alice.RequestID, CreatedAt: clock.Now(), UpdatedAt: clock.Now(),
		}
		wantJSON(t, "a new client", made, want)
		wantJSON(t, "the client when it is read", must(s.GetClient(t.Context(), made.ID))(t), want)
		if twin := must(s.CreateClient(t.Context(), uuid.New(), "Weiß GmbH", alice))(t); twin.ID == made.ID {
			t.Error("two clients of one name have the same id")
		}

		tags := map[string]bool{made.ETag(): true}
		for _, step := range []struct {
			fields    store.Fields
			name, key string
			changes   bool
		}{
			{store.Fields{}, "Weiß GmbH", "weiss gmbh", false},
			{store.Fields{store.ColumnName: "Weiß GmbH"}, "Weiß GmbH", "weiss gmbh", false},
			{store.Fields{store.ColumnName: "WEISS GMBH"}, "WEISS GMBH", "weiss gmbh", true},
			{store.Fields{store.ColumnName: "WEISS GMBH"}, "WEISS GMBH", "weiss gmbh", false},
			{store.Fields{store.ColumnName: "Contoso Ltd."}, "Contoso Ltd.", "contoso ltd.", true}, // another client has this name too
		} {
			clock.Advance(time.Minute)
			want.Name, want.NameKey = step.name, step.key
			if step.changes {
				want.Version, want.UpdatedAt = want.Version+1, clock.Now()
			}
			got := must(s.UpdateClient(t.Context(), made.ID, step.fields, alice, nil))(t)
			wantJSON(t, fmt.Sprintf("with %v", step.fields), got, want)
			wantJSON(t, "the client when it is read", must(s.GetClient(t.Context(), made.ID))(t), want)
			if tags[got.ETag()] == step.changes {
				t.Errorf("with %v the tag is %s", step.fields, got.ETag())
			}
			tags[got.ETag()] = true
		}

		before := allRows(t, storetest.SQL(t, url))
		missing := &store.NotFoundError{Kind: store.KindClient, ID: idOf("unknown")}
		_, err := s.GetClient(t.Context(), missing.ID)
		wantError(t, err, missing)
		_, err = s.UpdateClient(t.Context(), missing.ID, store.Fields{store.ColumnName: "New"}, alice, &store.IfMatch{})
		wantError(t, err, missing)
		stale := &store.IfMatch{Tags: []string{made.ETag()}}
		_, err = s.UpdateClient(t.Context(), made.ID, store.Fields{store.ColumnName: "New"}, alice, stale)
		wantError(t, err, &store.PreconditionError{})
		_, err = s.UpdateClient(t.Context(), made.ID, store.Fields{}, alice, stale)
		wantError(t, err, &store.PreconditionError{})
		wantJSON(t, "the database after what was refused", allRows(t, storetest.SQL(t, url)), before)
	})
}

// TestUpdateClientOnce has sixteen writers on two servers use the same tag. One succeeds.
func TestUpdateClientOnce(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		servers := []*store.Store{openSeeded(t, url, storetest.Page()), openWithoutPolling(t, url)}
		match := &store.IfMatch{Tags: []string{"", must(servers[0].GetClient(t.Context(), storetest.ClientID))(t).ETag()}}
		winner := race(t, func(n int) error {
			_, err := servers[n%2].UpdateClient(t.Context(), storetest.ClientID, store.Fields{store.ColumnName: fmt.Sprintf("Writer %d", n)}, alice, match)
			return err
		})
		got := must(servers[0].GetClient(t.Context(), storetest.ClientID))(t)
		if got.Version != 2 || got.Name != fmt.Sprintf("Writer %d", winner) {
			t.Errorf("writer %d succeeded, and the client is %s", winner, asJSON(t, got))
		}
	})
}

func TestListClients(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		s := openSeeded(t, url, store.Dataset{Clients: []store.Client{
			client("Contoso"), client("contoso 2"), client("Fabrikam"), client("Northwind"),
		}})
		limited := func(names ...string) *store.Token {
			token := &store.Token{}
			for _, name := range names {
				token.ClientIDs = append(token.ClientIDs, idOf(name))
			}
			return token
		}
		for _, c := range []struct {
			token *store.Token
			query string
			want  []string
		}{
			{&store.Token{AllClients: true}, "", []string{"Contoso", "contoso 2", "Fabrikam", "Northwind"}},
			{&store.Token{AllClients: true}, "CONTOSO", []string{"Contoso", "contoso 2"}},
			{&store.Token{AllClients: true, ClientIDs: []uuid.UUID{idOf("Fabrikam")}}, "o", []string{"Contoso", "contoso 2", "Northwind"}},
			{limited("Northwind", "contoso 2"), "", []string{"contoso 2", "Northwind"}},
			{limited("Northwind", "contoso 2"), "contoso", []string{"contoso 2"}},
			{limited("Northwind"), "contoso", []string{}},
			{limited("gone", "Fabrikam", "Fabrikam"), "", []string{"Fabrikam"}},
			{limited("gone"), "", []string{}},
			{limited(), "", []string{}},
			{limited(), "o", []string{}},
		} {
			what := fmt.Sprintf("the clients with %q in the name, of a token %s", c.query, asJSON(t, c.token))
			list := must(s.ListClients(t.Context(), c.token, c.query, fullPage(store.ColumnName)))(t)
			wantJSON(t, what, namesOf(list.Rows, func(c store.Client) string { return c.Name }), c.want)
			if list.Total != int64(len(c.want)) {
				t.Errorf("the total of %s is %d", what, list.Total)
			}
			// Pages of one client: none shows a client that the token does not cover.
			paged := []string{}
			for p := (store.Page{Size: 1, SortBy: store.ColumnName, Desc: true}); ; {
				page := must(s.ListClients(t.Context(), c.token, c.query, p))(t)
				paged = append(namesOf(page.Rows, func(c store.Client) string { return c.Name }), paged...)
				if page.Next == nil {
					break
				}
				p.After = page.Next
			}
			wantJSON(t, what+", one at a time", paged, c.want)
		}
	})
}
