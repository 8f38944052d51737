package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/migrations"
	"github.com/clientapps/clientapps/store/storetest"
)

// eachEmptyDatabase runs a test on both databases, without a schema.
func eachEmptyDatabase(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, "sqlite://"+filepath.Join(t.TempDir(), "empty.db")) })
	t.Run("postgres", func(t *testing.T) { test(t, storetest.EmptyPostgres(t)) })
}

func TestTenServersMigrateOnce(t *testing.T) {
	t.Parallel()
	eachEmptyDatabase(t, func(t *testing.T, url string) {
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				s, err := store.Open(store.Config{URL: url, MaxConns: 4})
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = s.Close() }()
				if err := s.Migrate(context.Background()); err != nil {
					t.Errorf("migrate: %v", err)
				}
				if err := s.Ready(context.Background()); err != nil {
					t.Errorf("ready: %v", err)
				}
			})
		}
		wg.Wait()
		have, want := versions(t, url)
		if have != want {
			t.Errorf("goose_db_version has %d rows, want %d", have, want)
		}
	})
}

// versions returns how many rows goose_db_version has, and how many it should have: one for each version and one for version 0.
func versions(t *testing.T, url string) (recorded, want int) {
	t.Helper()
	db, dialect := storetest.SQL(t, url), goose.DialectPostgres
	if strings.HasPrefix(url, "sqlite:") {
		dialect = goose.DialectSQLite3
	}
	steps := must(migrations.New(dialect, db))(t).ListSources()
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM goose_db_version").Scan(&recorded); err != nil {
		t.Fatal(err)
	}
	return recorded, len(steps) + 1 // and goose's own first row
}

func TestReadyNeedsTheSchema(t *testing.T) {
	t.Parallel()
	eachEmptyDatabase(t, func(t *testing.T, url string) {
		s := storetest.Open(t, url)
		if err := s.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "the schema has version 0, this program needs") {
			t.Errorf("before the migration: %v", err)
		}
		for range 2 {
			if err := s.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := s.Ready(t.Context()); err != nil {
				t.Errorf("after the migration: %v", err)
			}
		}
	})
}

// TestBothSchemasHaveTheSameColumns compares the names of tables and columns. Types differ. SQLite numbers changes as it writes them, and
// needs no position in the rows that change.
func TestBothSchemasHaveTheSameColumns(t *testing.T) {
	t.Parallel()
	lite := columns(t, storetest.SQL(t, storetest.SQLite(t)), `SELECT m.name, p.name FROM sqlite_master m, pragma_table_info(m.name) p
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' AND m.name NOT LIKE 'goose%'`)
	post := columns(t, storetest.SQL(t, storetest.Postgres(t)), `SELECT table_name, column_name FROM information_schema.columns
		WHERE table_schema = 'public' AND table_name NOT LIKE 'goose%'
			AND NOT (table_name IN ('apps', 'clients') AND column_name = 'position')`)
	if !slices.Equal(lite, post) || len(lite) < 50 {
		t.Errorf("SQLite has %v\nPostgreSQL has %v", lite, post)
	}
}

func columns(t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var names []string
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			t.Fatal(err)
		}
		names = append(names, fmt.Sprintf("%s.%s", table, column))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// TestMigrationsDoNotQueue checks that migrations which alter existing tables bound their wait for locks. Requests queue behind such a
// wait.
func TestMigrationsDoNotQueue(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("migrations/postgres/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, file := range files[1:] { // the first one creates the tables
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "SET LOCAL lock_timeout = '1s'") && !strings.Contains(string(text), "CONCURRENTLY") {
			t.Errorf("%s does not bound how long it waits for locks", file)
		}
	}
}

// TestMigrationGivesWay blocks a migration for longer than its lock_timeout. It starts again until it succeeds.
func TestMigrationGivesWay(t *testing.T) {
	t.Parallel()
	url := storetest.EmptyPostgres(t)
	db := storetest.SQL(t, url)
	tx := must(db.BeginTx(t.Context(), nil))(t)
	must(tx.ExecContext(t.Context(), "CREATE TABLE token_clients ()"))(t) // the migration that creates this table waits for the end of the transaction
	s := storetest.Open(t, url+"&lock_timeout=10ms")
	migrated := make(chan error, 1)
	go func() { migrated <- s.Migrate(t.Context()) }()
	for deadline := time.Now().Add(time.Minute); queryOne[int](t, db, rollbackCount) < 2; {
		if time.Now().After(deadline) {
			t.Fatal("the migration does not start again")
		}
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(<-migrated, s.Ready(t.Context())); err != nil {
		t.Error(err)
	}
}

// rollbackCount counts the transactions of this database that were rolled back.
const rollbackCount = "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()"
