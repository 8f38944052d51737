package migrations

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/pressly/goose/v3"

	"github.com/clientapps/clientapps/store/casefold"
)

// foldMigration is the third migration. It computes the keys of names again: since then, names that differ only in Unicode
// normalization have the same key. It is in Go because no database folds as casefold.Name does.
func foldMigration(dialect goose.Dialect) *goose.Migration {
	f := refolding{dialect}
	return goose.NewGoMigration(3, &goose.GoFunc{RunTx: f.up}, &goose.GoFunc{RunTx: f.down})
}

type refolding struct{ dialect goose.Dialect }

// foldedNames are the tables that have names with a key.
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

// up gives every name its new key. Where keys are unique and another name has that key already, the name keeps its old key until it is
// renamed.
func (f refolding) up(ctx context.Context, tx *sql.Tx) error {
	if f.dialect == goose.DialectPostgres {
		if _, err := tx.ExecContext(ctx, "SET LOCAL lock_timeout = '1s'"); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, "UPDATE catalog_state SET revision = revision + 1 WHERE id = 1"); err != nil {
		return err // first, because it keeps others from changing names of the catalog meanwhile
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

// down leaves the new keys. The previous version still finds names by them, except names whose normalization was changed.
func (refolding) down(context.Context, *sql.Tx) error { return nil }

type foldedKey struct{ id, key string }

// changed returns the rows whose key changes, with the new key, the oldest first.
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
	result, err := tx.ExecContext(ctx, f.rebind(statement), args...)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 || table != "catalog_apps" {
		return err
	}
	// Apps have a copy of the key of their catalog app.
	_, err = tx.ExecContext(ctx, f.rebind("UPDATE apps SET name_key = ? WHERE catalog_app_id = ?"), k.key, k.id)
	return err
}

// rebind replaces each ? by $1, $2, … for PostgreSQL.
func (f refolding) rebind(statement string) string {
	if f.dialect != goose.DialectPostgres {
		return statement
	}
	for n := 1; strings.Contains(statement, "?"); n++ {
		statement = strings.Replace(statement, "?", fmt.Sprintf("$%d", n), 1)
	}
	return statement
}
