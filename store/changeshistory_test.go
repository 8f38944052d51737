package store_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// changes returns the history of the page's app, a line for each changed field.
func changes(t *testing.T, url string) []string {
	t.Helper()
	rows, err := storetest.SQL(t, url).QueryContext(t.Context(), fmt.Sprintf(
		`SELECT version, field, old_value, new_value, actor_id, actor_name, request_id FROM app_changes
		 WHERE client_id = '%s' AND app_id = '%s' ORDER BY version, field`, pageApp.ClientID, pageApp.ID))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var lines []string
	for rows.Next() {
		var v [7]string
		if err := rows.Scan(&v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6]); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.Join(v[:], " "))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

func TestHistoryHasOneRowForEachChangedField(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string, s *store.Store) {
		for i, fields := range []store.Fields{
			{store.ColumnIsFavorite: true},
			{store.ColumnIsFavorite: true}, // no change
			{store.ColumnIsFavorite: false, store.ColumnIsApproved: true, store.ColumnLicenseCount: int32(0)},
			{store.ColumnIsApproved: true, store.ColumnLicenseCount: int32(50)}, // one change
			{store.ColumnLicenseCount: nil},
			{},
		} {
			by := writer
			by.RequestID = fmt.Sprint("request-", i)
			if _, err := s.UpdateApp(t.Context(), pageApp, fields, by, nil); err != nil {
				t.Fatal(err)
			}
		}
		who := " " + writer.ID.String() + " nightly sync request-"
		want := []string{
			`1 app null "a1b2c3d4-e5f6-7890-abcd-ef1234567890" 00000000-0000-0000-0000-000000000000 seed seed`,
			"2 is_favorite false true" + who + "0",
			"3 is_approved false true" + who + "2",
			"3 is_favorite true false" + who + "2",
			"3 license_count null 0" + who + "2",
			"4 license_count 0 50" + who + "3",
			"5 license_count 50 null" + who + "4",
		}
		if got := changes(t, url); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// TestHistoryIsAtomic changes an app in a transaction that is rolled back, bypassing the store.
func TestHistoryIsAtomic(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string, _ *store.Store) {
		before := dump(t, url, "apps", "app_changes")
		tx, err := storetest.SQL(t, url).BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		var recorded int
		if _, err := tx.ExecContext(t.Context(), "UPDATE apps SET is_favorite = true, version = version + 1"); err != nil {
			t.Fatal(err)
		}
		if err := tx.QueryRowContext(t.Context(), "SELECT count(*) FROM app_changes WHERE field = 'is_favorite'").Scan(&recorded); err != nil {
			t.Fatal(err)
		}
		if recorded != 2 {
			t.Errorf("%d changes recorded within the transaction, of two", recorded)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		if after := dump(t, url, "apps", "app_changes"); after != before {
			t.Errorf("the history after the rollback:\n%s", after)
		}
	})
}
