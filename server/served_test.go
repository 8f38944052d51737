package server_test

import (
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

// TestEveryOperationIsServed sends one request of each operation to one server.
func TestEveryOperationIsServed(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) { servesEveryOperation(t, s) })
}

// The server's database role cannot change the schema or rewrite the history: see deploy/roles.sql.
func TestEveryOperationIsServedToTheServerRole(t *testing.T) {
	t.Parallel()
	_, role := storetest.Roles(t)
	servesEveryOperation(t, servertest.New(t, role))
}

func servesEveryOperation(t *testing.T, s *servertest.Server, header ...string) {
	t.Helper()
	withNewEntry(t, s)
	send := func(name string) {
		t.Helper()
		r := requests[name]
		if got := s.Send(t, servertest.Request{Method: r.method, Target: r.target, Header: header, Body: r.body}); got.Status/100 != 2 && (!needsFeed(name) || got.Status != http.StatusServiceUnavailable) {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	send("deleteCatalogApp") // after the catalog app is no longer in use
	withNewEntry(t, s)
	rest := maps.Clone(requests)
	delete(rest, "deleteCatalogApp")
	delete(rest, "removeApp")
	for _, name := range slices.Sorted(maps.Keys(rest)) {
		send(name)
	}
	send("removeApp") // last, since the others need the app
}
