package faults

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// largeClient is the number of apps of the client that TestServerKilledDuringDeletion deletes.
const largeClient = 5000

// TestServerKilledDuringDeletion kills a server that is deleting a client with thousands of apps. On PostgreSQL, another server goes on with
// the deletion; on SQLite, the same server does when it has started again. Nothing of the client is left but the change that says that it
// was deleted. The other clients keep everything.
func TestServerKilledDuringDeletion(t *testing.T) {
	t.Parallel()
	for name, harness := range map[string]func(context.Context, string, string, ...string) (*Harness, error){
		"postgres": NewHarness, "sqlite": NewSQLiteHarness,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := mustStart(t)(harness(t.Context(), program, open(t)))
			db, err := h.Fixture.open()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			before := countRows(t, db, "app_changes")
			client := newLargeClient(t, h)
			other := h.Server
			if name == "postgres" {
				if other, err = h.AddServer(); err == nil {
					err = other.Start(t.Context())
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			path := "/v2/clients/" + client
			send := func(s *Server, method, path, body string, want int) {
				t.Helper()
				api := NewAPI(s.Addr, h.Fixture.Token, 1)
				defer api.Close()
				if a := api.send(t.Context(), method, path, body, ""); a.status != want {
					t.Errorf("%s %s: %d %s %v, want %d", method, path, a.status, a.body, a.err, want)
				}
			}
			send(h.Server, http.MethodPatch, path, `{"status":"suspended"}`, http.StatusOK)

			deletion := make(chan answer, 1)
			go func() {
				api := NewAPI(h.Server.Addr, h.Fixture.Token, 1)
				defer api.Close()
				deletion <- api.send(context.Background(), http.MethodDelete, path, "", "")
			}()
			own := fmt.Sprintf("client_id = '%s'", client)
			await(t, "some apps are erased", func() bool { return countRows(t, db, "apps WHERE "+own) < largeClient })
			h.Server.Kill()
			if a := <-deletion; a.class() != "none" && a.status != http.StatusAccepted {
				t.Errorf("the server that was killed has answered %d %s %v", a.status, a.body, a.err)
			}
			t.Logf("killed with %d apps and %d changes left", countRows(t, db, "apps WHERE "+own), countRows(t, db, "app_changes WHERE "+own))
			if countRows(t, db, "clients WHERE id = '"+client+"'") != 1 {
				t.Error("the server was killed when the client was gone")
			}
			if name == "sqlite" {
				if err := h.Server.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			send(other, http.MethodGet, path, "", http.StatusNotFound)
			send(other, http.MethodGet, path+"/apps", "", http.StatusNotFound)
			await(t, "the client is gone", func() bool { return countRows(t, db, "clients WHERE id = '"+client+"'") == 0 })

			for _, table := range tablesByClient(t, h, db) {
				want := 0
				if table == "app_changes" {
					want = 1
				}
				if n := countRows(t, db, table+" WHERE "+own); n != want {
					t.Errorf("%s has %d rows of the client, want %d", table, n, want)
				}
			}
			if n := countRows(t, db, "app_changes WHERE "+own+" AND field = 'client' AND new_value = 'null'"); n != 1 {
				t.Error("the change that is left is not the deletion")
			}
			if n := countRows(t, db, "app_changes"); n != before+1 {
				t.Errorf("there are %d changes, want %d", n, before+1)
			}
			if n := countRows(t, db, "apps"); n != len(h.Fixture.Apps) {
				t.Errorf("the other clients have %d apps, want %d", n, len(h.Fixture.Apps))
			}
			send(other, http.MethodDelete, path, "", http.StatusNotFound)
			send(other, http.MethodPost, "/v2/clients", `{"id":"`+client+`","name":"Again"}`, http.StatusConflict)
		})
	}
}

// newLargeClient makes a client with many apps, and a token that covers it, and returns its id.
func newLargeClient(t *testing.T, h *Harness) string {
	t.Helper()
	run := func(stdin string, args ...string) string {
		t.Helper()
		out, err := h.Server.Run(t.Context(), stdin, args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	var names strings.Builder
	names.WriteString("canonical_name\n")
	for i := range largeClient {
		fmt.Fprintf(&names, "Large %d\n", i)
	}
	run(names.String(), "import", "catalog", "--format", "csv", "-")
	client := run("", "client", "create", "--name", "Large")
	run(names.String(), "import", "apps", "--client", client, "--format", "csv", "-")
	run("", "token", "create", "--name", "of the large client", "--client", client, "--scope", "apps:read")
	return client
}

// countRows counts rows: of a table, perhaps with a condition.
func countRows(t *testing.T, db *sql.DB, from string) (n int) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM "+from).Scan(&n); err != nil {
		t.Fatalf("%s: %v", from, err)
	}
	return n
}

// tablesByClient returns the tables with a column client_id.
func tablesByClient(t *testing.T, h *Harness, db *sql.DB) (tables []string) {
	t.Helper()
	query := "SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'client_id' ORDER BY 1"
	if h.Cluster == nil {
		query = "SELECT m.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c WHERE m.type = 'table' AND c.name = 'client_id' ORDER BY 1"
	}
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			t.Fatal(err)
		}
		tables = append(tables, table)
	}
	if err := rows.Err(); err != nil || len(tables) < 4 {
		t.Fatalf("tables with a column client_id: %v, %v", tables, err)
	}
	return tables
}
