package dataset

import (
	"slices"
	"testing"
)

var usual = Size{Apps: 200_000, Clients: 200, Catalog: 5_000}

func TestValidate(t *testing.T) {
	t.Parallel()
	for size, good := range map[Size]bool{
		usual: true,
		{Apps: 10_000_000, Clients: 10_000, Catalog: 5_000}: true,
		{Apps: 20_000, Clients: 20, Catalog: 2_000}:         true,
		{Apps: 200_000, Clients: 2, Catalog: 5_000}:         false, // one client would have an app twice
		{Apps: 200_000, Clients: 5_000, Catalog: 5_000}:     false, // too few for a bulk operation
		{Apps: 1 << 24, Clients: 10_000, Catalog: 5_000}:    false,
		{}: false,
	} {
		if err := size.Validate(); (err == nil) != good {
			t.Errorf("%+v: %v", size, err)
		}
	}
}

// The rows satisfy the constraints of the schema, which are off during COPY.
func TestAppsAreUniqueAndWhereTheLoadLooks(t *testing.T) {
	t.Parallel()
	s := Size{Apps: 20_000, Clients: 20, Catalog: 2_000}
	tables := s.Tables()
	apps := tables[slices.IndexFunc(tables, func(t Table) bool { return t.Name == "apps" })]
	type pair struct{ client, other ID }
	ids, entries, perClient := map[ID]bool{}, map[pair]bool{}, map[ID]int{}
	n := 0
	for row := range apps.Rows {
		client, id, entry := row[0].(ID), row[1].(ID), row[2].(ID)
		if ids[id] || entries[pair{client, entry}] {
			t.Fatalf("app %d repeats an id or a catalog app of its client", n)
		}
		ids[id], entries[pair{client, entry}] = true, true
		perClient[client]++
		if n < s.Spread() && (id != Parse(AppID(n)) || client != Parse(ClientID(n%s.Ordinary()))) {
			t.Fatalf("app %d does not belong to the client that the load uses", n)
		}
		n++
	}
	if n != s.Apps || len(perClient) != s.Clients {
		t.Errorf("%d apps of %d clients, want %d of %d", n, len(perClient), s.Apps, s.Clients)
	}
	if got := perClient[Parse(ClientID(s.Ordinary()))]; got != s.Catalog {
		t.Errorf("a large client has %d apps, want %d", got, s.Catalog)
	}
	if want := AppID(7); Parse(want).String() != want {
		t.Errorf("%s: Parse and String do not match", want)
	}
}
