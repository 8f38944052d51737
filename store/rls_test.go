package store_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
	"github.com/clientapps/clientapps/store/tenant"
)

// TestRowSecurityHoldsWithoutTheGuard checks that only the setting decides which rows the role of a server can read and write, whatever
// the statement is. make test-row-security runs the other tests with row-level security.
func TestRowSecurityHoldsWithoutTheGuard(t *testing.T) {
	t.Parallel()
	owner, url := storetest.RowSecured(t)
	openSeeded(t, url, storetest.Page(), withClock(&storetest.Clock{}), withRLS)
	role := must(sql.Open("pgx", url))(t)
	defer func() { _ = role.Close() }()
	total := queryOne[int](t, storetest.SQL(t, owner), "SELECT count(*) FROM apps")
	mine := storetest.ClientID.String()
	for _, c := range []struct {
		setting string
		want    int
	}{
		{"", 0},
		{"nobody", 0},
		{"'; --", 0},
		{storetest.CatalogID.String(), 0},
		{mine, total - 1},
		{storetest.OtherClientID.String(), 1},
		{"*", total},
		{"**", 0},
	} {
		tx := must(role.BeginTx(t.Context(), nil))(t)
		if _, err := tx.ExecContext(t.Context(), "SELECT set_config('clientapps.client_id', $1, true)", c.setting); err != nil {
			t.Fatal(err)
		}
		for _, query := range []string{
			"SELECT count(*) FROM apps", "SELECT count(*) FROM apps WHERE client_id IS NOT NULL OR true",
			"WITH u AS (UPDATE apps SET version = version + 1 RETURNING 1) SELECT count(*) FROM u",
		} {
			var seen int
			if err := tx.QueryRowContext(t.Context(), query).Scan(&seen); err != nil || seen != c.want {
				t.Errorf("%q: %s is %d, %v; want %d", c.setting, query, seen, err, c.want)
			}
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		if n := queryOne[int](t, role, "SELECT count(*) FROM apps"); n != 0 {
			t.Errorf("the setting %q outlived its transaction: %d rows are visible", c.setting, n)
		}
	}
	for _, statement := range []string{
		"UPDATE apps SET client_id = '" + storetest.OtherClientID.String() + "'",
		"INSERT INTO app_changes SELECT '" + storetest.OtherClientID.String() + "', id, 99, 'x', '', '', id, '', '', now() FROM apps",
	} {
		tx := must(role.BeginTx(t.Context(), nil))(t)
		_, err := tx.ExecContext(t.Context(), "SELECT set_config('clientapps.client_id', $1, true)", mine)
		if err == nil {
			_, err = tx.ExecContext(t.Context(), statement)
		}
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.Code != "42501" {
			t.Errorf("%s: %v", statement, err)
		}
		_ = tx.Rollback()
	}
}

// TestRowSecurityAcrossClients runs a declared cross-tenant statement between two others of one transaction. Only the declared one sees
// rows of all clients.
func TestRowSecurityAcrossClients(t *testing.T) {
	t.Parallel()
	_, url := storetest.RowSecured(t)
	s := openSeeded(t, url, storetest.Page(), withClock(&storetest.Clock{}), withRLS)
	err := store.Write(s).WithContext(t.Context()).Transaction(func(tx *gorm.DB) error {
		for _, c := range []struct {
			db   *gorm.DB
			want bool
		}{
			{tenant.Of(tx, storetest.OtherClientID), false},
			{tenant.CrossTenant(tx, "a test").Where("client_id = ?", storetest.OtherClientID), true},
			{tenant.Of(tx, storetest.OtherClientID), false},
		} {
			var apps []store.App
			err := c.db.Find(&apps).Error
			if err != nil || (len(apps) > 0) != c.want {
				t.Errorf("%d apps, %v", len(apps), err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestReadyNeedsRowSecurityAsAsked checks that a server is ready only if row-level security is as configured.
func TestReadyNeedsRowSecurityAsAsked(t *testing.T) {
	t.Parallel()
	owner, server := storetest.RowSecured(t)
	for _, c := range []struct {
		name, url string
		asked     bool
		want      string
	}{
		{"as it should be", server, true, ""},
		{"not asked for", server, false, "serve with --row-level-security"},
		{"as the owner", owner, true, "does not hold for this role"},
		{"as the owner, not asked for", owner, false, ""},
	} {
		s := storetest.Open(t, c.url, func(cfg *store.Config) { cfg.RowLevelSecurity = c.asked })
		err := s.Ready(t.Context())
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestRowSecurityNeedsPostgreSQL(t *testing.T) {
	t.Parallel()
	if s, err := store.Open(store.Config{RowLevelSecurity: true, URL: "sqlite://" + filepath.Join(t.TempDir(), "x.db")}); err == nil {
		t.Errorf("SQLite was opened with row-level security: %v", s.Close())
	}
}

// TestRowSecurityCoversEveryTable checks that each table of the guard has a policy, except those that are read for many clients: the
// clients of tokens, and webhooks.
func TestRowSecurityCoversEveryTable(t *testing.T) {
	t.Parallel()
	owner, _ := storetest.RowSecured(t)
	db := storetest.SQL(t, owner)
	for _, table := range store.PerClient() {
		const query = `SELECT relrowsecurity AND EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid) FROM pg_class AS c WHERE oid = $1::regclass`
		if has := queryOne[bool](t, db, query, table); has != (table != "token_clients" && table != "webhooks") {
			t.Errorf("%s: %t", table, has)
		}
	}
}

// BenchmarkRowLevelSecurity alternates between each operation with row-level security and without it, on one database.
func BenchmarkRowLevelSecurity(b *testing.B) {
	owner, server := storetest.RowSecured(b)
	with, without := openWithoutPolling(b, server, withRLS), openWithoutPolling(b, owner)
	if err := with.Seed(b.Context(), storetest.Page()); err != nil {
		b.Fatal(err)
	}
	compare(b, with, without)
}

func withRLS(cfg *store.Config) { cfg.RowLevelSecurity = true }
