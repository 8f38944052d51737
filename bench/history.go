package main

import (
	"context"
	"database/sql"
	"errors"

	"github.com/jackc/pgx/v5"
)

// postgresHistory returns a function that counts the recorded changes of a client's apps.
func postgresHistory(url string) func(context.Context, string) (int, error) {
	return func(ctx context.Context, client string) (count int, err error) {
		db, err := pgx.Connect(ctx, url)
		if err != nil {
			return 0, err
		}
		err = db.QueryRow(ctx, "SELECT count(*) FROM app_changes WHERE client_id = $1", client).Scan(&count)
		return count, errors.Join(err, db.Close(ctx))
	}
}

// sqliteHistory is postgresHistory for SQLite.
func sqliteHistory(path string) func(context.Context, string) (int, error) {
	return func(ctx context.Context, client string) (count int, err error) {
		db, err := sql.Open("sqlite", "file:"+path+"?mode=ro&_pragma=busy_timeout(10000)")
		if err != nil {
			return 0, err
		}
		err = db.QueryRowContext(ctx, "SELECT count(*) FROM app_changes WHERE client_id = ?", client).Scan(&count)
		return count, errors.Join(err, db.Close())
	}
}
