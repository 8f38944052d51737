package store_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// TestTenantGuardHoldsAgainstRandomSQL checks random statements. SQLite runs those that pass the check. The only client id in them is that
// of one client, so none may read or write rows of another.
func TestTenantGuardHoldsAgainstRandomSQL(t *testing.T) {
	t.Parallel()
	url := storetest.SQLite(t)
	s := openSeeded(t, url, storetest.Page())
	for _, key := range []store.AppKey{pageApp, otherApp} {
		if _, err := s.UpdateApp(t.Context(), key, store.Fields{store.ColumnIsFavorite: true}, writer, nil); err != nil {
			t.Fatal(err)
		}
	}
	db := storetest.SQL(t, url)
	refused, rows := 0, 0
	for seed := range uint64(60_000) {
		m := &randomSQL{rand: rand.New(rand.NewPCG(seed, 0))}
		query := m.query()
		if checkScope(query) != nil {
			refused++
			continue
		}
		for _, client := range reached(t, db, query) {
			if rows++; client != storetest.ClientID.String() {
				t.Errorf("the check passes a statement that reaches client %s: %s", client, query)
			}
		}
	}
	if refused < 10_000 || rows < 500 {
		t.Errorf("%d statements were refused and %d rows returned: too few for the test to mean anything", refused, rows)
	}
}

// reached runs a statement, rolls it back, and returns the clients of its rows. A statement that fails returns none.
func reached(t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	tx := must(db.BeginTx(t.Context(), nil))(t)
	defer func() { _ = tx.Rollback() }()
	rows, err := tx.QueryContext(t.Context(), query, storetest.ClientID.String())
	if err != nil {
		return nil
	}
	defer rows.Close()
	var clients []string
	for rows.Next() {
		var client *string
		if err := rows.Scan(&client); err != nil {
			t.Fatal(err)
		}
		if client != nil {
			clients = append(clients, *client)
		}
	}
	_ = rows.Err() // such as a division by zero
	return clients
}

// randomSQL generates a statement.
type randomSQL struct {
	rand  *rand.Rand
	depth int
}

func (m *randomSQL) one(of ...string) string { return of[m.rand.IntN(len(of))] }

func (m *randomSQL) name() string { return m.one("a.", "a.", "a.", "b.", "b.", "", "c.") }

func (m *randomSQL) query() string {
	switch m.one("select", "select", "select", "update", "delete", "union", "with") {
	case "update":
		return "UPDATE apps AS a SET is_approved = true" + m.one("", " FROM app_changes AS b", ", version = 9") + m.where() + " RETURNING a.client_id"
	case "delete":
		return "DELETE FROM apps" + m.where() + " RETURNING client_id"
	case "union":
		return m.selected() + m.one(" UNION ", " UNION ALL ", " EXCEPT ") + m.selected()
	case "with":
		return "WITH c AS (" + m.selected() + ") SELECT client_id FROM c" + m.one("", m.where())
	}
	return m.selected()
}

func (m *randomSQL) selected() string {
	return "SELECT " + m.one("a", "a", "b") + ".client_id FROM " + m.from() + m.where() +
		m.one("", "", " ORDER BY 1", " GROUP BY 1", " LIMIT 9", " GROUP BY 1 HAVING "+m.condition())
}

func (m *randomSQL) from() string {
	first := m.table() + m.one(" AS a", " a", " c")
	join := m.one("", "", " JOIN ", " LEFT JOIN ", ", ", ", ", " RIGHT JOIN ", " FULL JOIN ", " CROSS JOIN ", " NATURAL JOIN ")
	if join == "" {
		return first
	}
	second := first + join + m.table() + m.one(" AS b", " b", " c")
	switch strings.TrimSpace(join) {
	case ",", "CROSS JOIN", "NATURAL JOIN":
		return second
	}
	return second + " ON " + m.condition() + m.one("", "", " JOIN catalog_apps AS d ON "+m.one("true", "a.catalog_app_id = d.id"))
}

func (m *randomSQL) table() string {
	if m.depth++; m.depth > 6 {
		return "apps"
	}
	return m.one("apps", "apps", "app_changes", "app_changes", `"apps"`, "(SELECT * FROM apps"+m.where()+")", "catalog_apps")
}

func (m *randomSQL) where() string {
	if m.rand.IntN(8) == 0 {
		return ""
	}
	return " WHERE " + m.condition()
}

func (m *randomSQL) condition() string {
	if m.depth++; m.depth > 12 {
		return m.name() + "client_id = ?1"
	}
	switch m.one("bound", "bound", "bound", "bound", "bound", "and", "and", "and", "or", "not", "group", "between", "case", "exists", "in", "same", "value") {
	case "and":
		return m.condition() + " AND " + m.condition()
	case "or":
		return m.condition() + " OR " + m.condition()
	case "not":
		return "NOT " + m.condition()
	case "group":
		return "(" + m.condition() + ")"
	case "between":
		return m.name() + "version BETWEEN 0 AND " + m.condition()
	case "case":
		return "CASE WHEN " + m.condition() + " THEN true ELSE " + m.one("true", "false") + " END"
	case "exists":
		return "EXISTS (SELECT 1 FROM " + m.from() + m.where() + ")"
	case "in":
		return m.name() + "client_id IN (SELECT client_id FROM apps" + m.where() + ")"
	case "same":
		return m.name() + "client_id = " + m.name() + "client_id"
	case "value":
		return m.one("true", "1 = 1", "version > 0", "a.client_id IS NOT NULL", "a.client_id <> ?1", "a.version = b.version", "false")
	}
	return fmt.Sprintf("%sclient_id = ?1%s", m.name(), m.one("", "", "", "", "", "", " = false", " IS NULL", " IS DISTINCT FROM true"))
}
