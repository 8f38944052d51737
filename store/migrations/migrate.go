package migrations

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/clientapps/clientapps/store/retry"
)

// lockRetry is the pause before a migration tries again to lock a table. While it waits for the lock, all requests for the table
// wait behind it. So it waits for at most the lock_timeout that it sets, one second, and then pauses.
var lockRetry = retry.Policy{Pause: time.Second}

// Database is a database with a schema, or without one yet.
type Database struct {
	Dialect     goose.Dialect
	Writer      *sql.DB // migrates
	Reader      *sql.DB // reads the version; may be the same
	HasSchema   string  // a query that reports whether goose's table exists
	LockTimeout func(err error) bool
	Lock        func(ctx context.Context) (unlock func() error, err error) // lets one server migrate at a time
}

// Up brings the schema to the version that this program needs. Many servers may call it at once. A newer schema stays as it is.
func (d *Database) Up(ctx context.Context) (err error) {
	if have, want, err := d.Versions(ctx); err != nil || have >= want {
		return err // without waiting for a server that is migrating to a newer version
	}
	steps, err := New(d.Dialect, d.Writer)
	if err != nil {
		return err
	}
	unlock, err := d.Lock(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	return lockRetry.Do(ctx, func() (retryable bool, err error) {
		_, err = steps.Up(ctx)
		return d.LockTimeout(err), err
	})
}

// Versions returns the version that the schema has, 0 without a schema, and the one that this program needs. Unlike goose's own way it
// writes nothing.
func (d *Database) Versions(ctx context.Context) (have, want int64, err error) {
	steps, err := New(d.Dialect, d.Writer)
	if err != nil {
		return 0, 0, err
	}
	sources := steps.ListSources()
	want = sources[len(sources)-1].Version
	var exists bool
	if err := d.Reader.QueryRowContext(ctx, d.HasSchema).Scan(&exists); err != nil || !exists {
		return 0, want, err
	}
	const newest = "SELECT coalesce(max(version_id), 0) FROM goose_db_version"
	err = d.Reader.QueryRowContext(ctx, newest).Scan(&have)
	return have, want, err
}
