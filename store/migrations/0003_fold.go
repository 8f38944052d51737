package migrations

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/pressly/goose/v3"

	"github.com/clientapps/clientapps/store/casefold"
)

// foldMigration is the third migration: names are folded anew, since those that differ in Unicode normalization alone are the
// same from it on. It is in Go because no database folds as casefold.Name does.
func foldMigration(dialect goose.Dialect) *goose.Migration {
	f := refolding{dialect}
	return goose.NewGoMigration(3, &goose.GoFunc{RunTx: f.up}, &goose.GoFunc{RunTx: f.down})
}

type refolding struct{ dialect goose.Dialect }

// foldedNames are the tables of names that have a key.
var foldedNames = []struct {
	table, name string
	unique      bool // so are the keys
}{
	{"clients", "name", false},
	{"catalog_vendors", "name", true},
	{"catalog_categories", "name", true},
	{"catalog_apps", "canonical_name", true},
	{"catalog_url_patterns", "pattern", false},
	{"catalog_desktop_aliases", "alias", false},
}

// up gives every name its key. Of two names that are the same now, and were not when they were written, the later keeps the
// key that it has: both stay, until one of them is renamed.
func (f refolding) up(ctx context.Context, tx *sql.Tx) error {
	if f.dialect == goose.DialectPostgres {
		if _, err := tx.ExecContext(ctx, "SET LOCAL lock_timeout = '1s'"); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, "UPDATE catalog_state SET revision = revision + 1 WHERE id = 1"); err != nil {
		return err // first: nobody else changes names of the catalog meanwhile
	}
	for _, names := range foldedNames {
		keys, err := f.changed(ctx, tx, names.table, names.name)
		if err != nil {
			return fmt.Errorf("fold %s: %w", names.table, err)
		}
		for _, k := range keys {
			if err := f.set(ctx, tx, names.table, names.unique, k); err != nil {
				return fmt.Errorf("fold %s: %w", names.table, err)
			}
		}
	}
	return nil
}

// down leaves the keys: the program of before finds names by them as it did, if they are not written in two ways.
func (refolding) down(context.Context, *sql.Tx) error { return nil }

type foldedKey struct{ id, key string }

// changed returns the rows whose key is another now, the oldest first.
func (f refolding) changed(ctx context.Context, tx *sql.Tx, table, name string) ([]foldedKey, error) {
	rows, err := tx.QueryContext(ctx, "SELECT id, "+name+", name_key FROM "+table+" ORDER BY created_at, id") //nolint:gosec // of the tables above
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var changed []foldedKey
	for rows.Next() {
		var id, text, key string
		if err := rows.Scan(&id, &text, &key); err != nil {
			return nil, err
		}
		if folded := casefold.Name(text); folded != key {
			changed = append(changed, foldedKey{id, folded})
		}
	}
	return changed, rows.Err()
}

func (f refolding) set(ctx context.Context, tx *sql.Tx, table string, unique bool, k foldedKey) error {
	statement := "UPDATE " + table + " SET name_key = ? WHERE id = ?"
	args := []any{k.key, k.id}
	if unique {
		statement += " AND NOT EXISTS (SELECT 1 FROM " + table + " other WHERE other.name_key = ?)"
		args = append(args, k.key)
	}
	result, err := tx.ExecContext(ctx, f.numbered(statement), args...)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 || table != "catalog_apps" {
		return err
	}
	// Every app that repeats the name follows it.
	_, err = tx.ExecContext(ctx, f.numbered("UPDATE apps SET name_key = ? WHERE catalog_app_id = ?"), k.key, k.id)
	return err
}

// numbered writes the parameters as PostgreSQL wants them.
func (f refolding) numbered(statement string) string {
	if f.dialect != goose.DialectPostgres {
		return statement
	}
	for n := 1; strings.Contains(statement, "?"); n++ {
		statement = strings.Replace(statement, "?", fmt.Sprintf("$%d", n), 1)
	}
	return statement
}
