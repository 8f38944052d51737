package dataset

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// LoadPostgres fills a migrated database with COPY, builds indexes last, vacuums, analyzes, and writes everything to disk.
func (s Size) LoadPostgres(ctx context.Context, url string) error {
	db, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close(context.WithoutCancel(ctx)) }()
	// The data are valid, so foreign keys are not checked. Rows that triggers would write are written below.
	for _, setting := range []string{"session_replication_role = replica", "maintenance_work_mem = '1GB'"} {
		if _, err := db.Exec(ctx, "SET "+setting); err != nil {
			return err
		}
	}
	for _, table := range s.Tables() {
		if err := withoutIndexes(ctx, db, table.Name, func() error {
			return copyRows(ctx, db, table)
		}); err != nil {
			return fmt.Errorf("load %s: %w", table.Name, err)
		}
	}
	if err := withoutIndexes(ctx, db, "app_changes", func() error {
		_, err := db.Exec(ctx, `INSERT INTO app_changes (client_id, app_id, version, field, old_value, new_value,
			actor_id, actor_name, request_id, changed_at)
			SELECT client_id, id, version, 'app', 'null', to_json(catalog_app_id)::text,
			actor_id, actor_name, request_id, updated_at FROM apps`)
		return err
	}); err != nil {
		return fmt.Errorf("load app_changes: %w", err)
	}
	for _, statement := range []string{
		`INSERT INTO client_app_counts (client_id, slot, total)
			SELECT client_id, get_byte(uuid_send(id), 15) % 16, count(*) FROM apps GROUP BY 1, 2`,
		"UPDATE catalog_state SET revision = revision + 1", "VACUUM (ANALYZE)", "CHECKPOINT",
	} {
		if _, err := db.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func copyRows(ctx context.Context, db *pgx.Conn, table Table) error {
	// iter.Pull does not work here: its coroutine cannot be used from a locked thread or another goroutine.
	rows, done := make(chan []any, 1000), make(chan struct{})
	defer close(done)
	go func() {
		defer close(rows)
		for row := range table.Rows {
			select {
			case rows <- row:
			case <-done:
				return
			}
		}
	}()
	_, err := db.CopyFrom(ctx, pgx.Identifier{table.Name}, table.Columns, pgx.CopyFromFunc(func() ([]any, error) {
		row, ok := <-rows
		if !ok {
			return nil, nil
		}
		for i, value := range row {
			if id, ok := value.(ID); ok {
				row[i] = pgtype.UUID{Bytes: id, Valid: true}
			}
		}
		return row, nil
	}))
	return err
}

// withoutIndexes drops the indexes and keys of a table, runs work, and creates them again. Nothing may refer to the table.
func withoutIndexes(ctx context.Context, db *pgx.Conn, table string, work func() error) error {
	rows, err := db.Query(ctx, `
		SELECT format('ALTER TABLE %I DROP CONSTRAINT %I', $1::text, conname),
			format('ALTER TABLE %I ADD CONSTRAINT %I %s', $1::text, conname, pg_get_constraintdef(oid))
		FROM pg_constraint c WHERE conrelid = $1::regclass AND contype IN ('p', 'u')
			AND NOT EXISTS (SELECT FROM pg_constraint WHERE confrelid = c.conrelid)
		UNION ALL
		SELECT format('DROP INDEX %I', indexname), indexdef
		FROM pg_indexes WHERE tablename = $1 AND NOT EXISTS (SELECT FROM pg_constraint WHERE conname = indexname)`, table)
	if err != nil {
		return err
	}
	type pair struct{ Drop, Make string }
	indexes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[pair])
	if err != nil {
		return err
	}
	for _, index := range indexes {
		if _, err := db.Exec(ctx, index.Drop); err != nil {
			return err
		}
	}
	if err := work(); err != nil {
		return err
	}
	for _, index := range indexes {
		if _, err := db.Exec(ctx, index.Make); err != nil {
			return err
		}
	}
	return nil
}
