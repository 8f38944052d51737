package dataset

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// LoadSQLite fills a migrated database of the server. Its triggers write the history.
func (s Size) LoadSQLite(ctx context.Context, path string) error {
	return loadSQLite(ctx, path, s.Tables(), func(value any) any {
		switch v := value.(type) {
		case ID:
			return v.String()
		case time.Time:
			return v.UnixMilli()
		}
		return value
	})
}

// LoadPocketBase fills the collections of PocketBase. It stores no nulls, and a list of references is JSON text.
func (s Size) LoadPocketBase(ctx context.Context, path string) error {
	tables := s.Tables()
	categoriesByApp := map[ID][]string{}
	for row := range s.appCategories {
		categoriesByApp[row[0].(ID)] = append(categoriesByApp[row[0].(ID)], row[1].(ID).String()) //nolint:errcheck,forcetypeassert // generated above
	}
	var collections []Table
	for _, table := range tables {
		switch table.Name {
		case "catalog_app_categories":
			continue
		case "catalog_apps":
			table.Columns = append(table.Columns, "categories")
			table.Rows = mapRows(table.Rows, func(row []any) []any {
				ids, _ := json.Marshal(append([]string{}, categoriesByApp[row[0].(ID)]...)) //nolint:errcheck,forcetypeassert // an ID
				return append(row, string(ids))
			})
		case "apps":
			licenses := slices.Index(table.Columns, "license_count")
			table.Rows = mapRows(table.Rows, func(row []any) []any {
				if row[licenses] == nil {
					row[licenses] = 0
				}
				return row
			})
		}
		collections = append(collections, table.without(func(column string) bool {
			return column == "version" || column == "actor_id" || column == "actor_name" || column == "request_id" ||
				column == "name_key" && table.Name != "apps"
		}))
	}
	return loadSQLite(ctx, path, collections, func(value any) any {
		switch v := value.(type) {
		case nil:
			return ""
		case ID:
			return v.String()
		case time.Time:
			return v.Format("2006-01-02 15:04:05.000Z")
		}
		return value
	})
}

// without returns the table without some columns.
func (t Table) without(drop func(column string) bool) Table {
	var kept []int
	out := Table{Name: t.Name}
	for i, column := range t.Columns {
		if !drop(column) {
			kept = append(kept, i)
			out.Columns = append(out.Columns, column)
		}
	}
	out.Rows = mapRows(t.Rows, func(row []any) []any {
		values := make([]any, len(kept))
		for i, from := range kept {
			values[i] = row[from]
		}
		return values
	})
	return out
}

func mapRows(rows iter.Seq[[]any], change func([]any) []any) iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for row := range rows {
			if !yield(change(row)) {
				return
			}
		}
	}
}

// String returns the canonical form of an id.
func (id ID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

func loadSQLite(ctx context.Context, path string, tables []Table, value func(any) any) (err error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=foreign_keys(0)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // no effect after Commit
	for _, table := range tables {
		if err := insertRows(ctx, tx, table, value); err != nil {
			return fmt.Errorf("load %s: %w", table.Name, err)
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	for _, statement := range []string{"ANALYZE", "PRAGMA wal_checkpoint(TRUNCATE)"} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func insertRows(ctx context.Context, tx *sql.Tx, table Table, value func(any) any) error {
	insert, err := tx.PrepareContext(ctx, fmt.Sprintf("INSERT INTO %s (%s) VALUES (?%s)",
		table.Name, strings.Join(table.Columns, ", "), strings.Repeat(", ?", len(table.Columns)-1)))
	if err != nil {
		return err
	}
	defer func() { _ = insert.Close() }()
	for row := range table.Rows {
		for i := range row {
			row[i] = value(row[i])
		}
		if _, err := insert.ExecContext(ctx, row...); err != nil {
			return err
		}
	}
	return nil
}
