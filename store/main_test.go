package store_test

import (
	"database/sql"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

var (
	pageApp  = store.AppKey{ClientID: storetest.ClientID, ID: storetest.AppID}
	otherApp = store.AppKey{ClientID: storetest.OtherClientID, ID: storetest.OtherAppID}
	writer   = store.Actor{ID: uuid.MustParse("0d9c8b7a-6f5e-4d3c-8b2a-190817263544"), Name: "nightly sync", RequestID: "request-1"}
)

// eachDatabase runs a test on both databases, with the data of the reference page.
func eachDatabase(t *testing.T, test func(t *testing.T, url string, s *store.Store)) {
	t.Helper()
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		t.Parallel()
		s := storetest.Open(t, url, withClock(&storetest.Clock{}))
		if err := s.Seed(t.Context(), storetest.Page()); err != nil {
			t.Fatal(err)
		}
		test(t, url, s)
	})
}

// dump returns the whole content of tables as text, to see what a statement wrote.
func dump(t *testing.T, url string, tables ...string) string {
	t.Helper()
	db := storetest.SQL(t, url)
	var lines []string
	for _, table := range tables {
		rows, err := db.QueryContext(t.Context(), "SELECT * FROM "+table)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, rowTexts(t, table, rows)...)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func rowTexts(t *testing.T, table string, rows *sql.Rows) []string {
	t.Helper()
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		line := table
		for i, v := range values {
			line += fmt.Sprintf(" %s=%v", columns[i], v)
		}
		lines = append(lines, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// get reads an app, which must exist.
func get(t *testing.T, s *store.Store, key store.AppKey) store.App {
	t.Helper()
	app, err := s.GetApp(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return app
}
