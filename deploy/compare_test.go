package deploy

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
)

// compare holds a restored database to its source, which has gone on meanwhile, and to what was answered before the backup.
func compare(t *testing.T, source, restored string, answered map[string]bool) {
	t.Helper()
	was, is := open(t, source), open(t, restored)
	// Nobody has written to these.
	for _, table := range []string{"clients", "tokens", "catalog_apps"} {
		a, b := rows(t, was, "SELECT * FROM "+table+" ORDER BY 1"), rows(t, is, "SELECT * FROM "+table+" ORDER BY 1")
		if len(a) == 0 || strings.Join(a, "\n") != strings.Join(b, "\n") {
			t.Errorf("%s: %d rows are now %d others", table, len(a), len(b))
		}
	}
	const history = "SELECT request_id, client_id, app_id, version, field, old_value, new_value FROM app_changes ORDER BY app_id, version, field"
	entries, known := rows(t, is, history), map[string]bool{}
	for _, entry := range rows(t, was, history) {
		known[entry] = true
	}
	made := map[string]bool{}
	for _, entry := range entries {
		if !known[entry] {
			t.Errorf("in the backup alone: %s", entry)
		}
		made[strings.SplitN(entry, "|", 2)[0]] = true
	}
	lost := 0
	for id := range answered {
		if !made[id] {
			lost++
		}
	}
	if lost > 0 || len(entries) < len(answered) {
		t.Errorf("%d of %d writes that were answered before are not in the backup", lost, len(answered))
	}
	// Every app is what its history says, and the history has no gaps.
	const astray = `SELECT a.id, a.version, a.license_count FROM apps a WHERE
		a.version <> (SELECT max(version) FROM app_changes c WHERE c.client_id = a.client_id AND c.app_id = a.id)
		OR a.version <> (SELECT count(DISTINCT version) FROM app_changes c WHERE c.client_id = a.client_id AND c.app_id = a.id)
		OR CAST(a.license_count AS text) IS DISTINCT FROM (SELECT new_value FROM app_changes c
			WHERE c.client_id = a.client_id AND c.app_id = a.id AND c.field = 'license_count' ORDER BY version DESC LIMIT 1)`
	if found := rows(t, is, astray); len(found) > 0 {
		t.Errorf("apps that are not what their history says: %q", found)
	}
	if a, b := rows(t, was, "SELECT id FROM apps ORDER BY 1"), rows(t, is, "SELECT id FROM apps ORDER BY 1"); strings.Join(a, " ") != strings.Join(b, " ") {
		t.Errorf("%d apps are now %d", len(a), len(b))
	}
	t.Logf("%d writes were answered before the backup, which has %d changes of %d", len(answered), len(entries), len(known))
}

// ids lists the apps.
func ids(t *testing.T, database string) []string {
	t.Helper()
	return rows(t, open(t, database), "SELECT CAST(id AS text) FROM apps ORDER BY 1")
}

// rows reads all that a query finds, a row as a line.
func rows(t *testing.T, db *sql.DB, query string) (lines []string) {
	t.Helper()
	found, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = found.Close() }()
	columns, err := found.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for found.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := found.Scan(into...); err != nil {
			t.Fatal(err)
		}
		var line []string
		for _, value := range values {
			line = append(line, fmt.Sprint(value))
		}
		lines = append(lines, strings.Join(line, "|"))
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}
