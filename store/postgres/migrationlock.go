package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/pressly/goose/v3/lock"

	"github.com/clientapps/clientapps/store/retry"
)

// migrationLockRetry makes a server wait up to five minutes for the migration of another one.
var migrationLockRetry = retry.Policy{Attempts: 300, Pause: time.Second}

var errMigrationLock = errors.New("another server has been migrating for too long")

// LockMigrations takes the lock that lets one server migrate at a time, and returns the function that releases it. The lock is
// that of a transaction, not of a session as goose's own is: behind a pooler a session is a transaction, and the next one may belong to
// another server. A server that dies releases the lock.
func (db *DB) LockMigrations(ctx context.Context) (unlock func() error, err error) {
	err = migrationLockRetry.Do(ctx, func() (retry bool, err error) {
		tx, err := db.tryLock(ctx)
		if err != nil {
			return false, err
		}
		if tx == nil {
			return true, errMigrationLock
		}
		unlock = func() error {
			defer db.resize(-1)
			if err := tx.Rollback(); !errors.Is(err, sql.ErrTxDone) {
				return err
			}
			return nil // the context has ended, and the transaction with it
		}
		return false, nil
	})
	return unlock, err
}

// tryLock returns the transaction that holds the lock, or nil when another server has it. It gives its connection back between
// attempts, since the server that has the lock needs a second one to migrate, and a pooler may have few.
func (db *DB) tryLock(ctx context.Context) (*sql.Tx, error) {
	db.resize(+1) // the pool may have one connection, which the migration needs
	tx, err := db.pool.BeginTx(ctx, nil)
	locked := false
	if err == nil {
		// The number is goose's, so that it also excludes a server that uses goose's own lock.
		err = tx.QueryRowContext(ctx, "SELECT pg_try_advisory_xact_lock($1)", lock.DefaultLockID).Scan(&locked)
	}
	if err == nil && locked {
		// It is held for as long as a migration takes. This statement ends the snapshot of the query before it, for which CREATE INDEX
		// CONCURRENTLY would wait.
		_, err = tx.ExecContext(ctx, "SET LOCAL idle_in_transaction_session_timeout = 0")
	}
	if err == nil && locked {
		return tx, nil
	}
	if tx != nil {
		_ = tx.Rollback()
	}
	db.resize(-1)
	if err != nil {
		return nil, fmt.Errorf("lock for a migration: %w", err)
	}
	return nil, nil //nolint:nilnil // another server has it, as the comment says
}

func (db *DB) resize(by int) { db.pool.SetMaxOpenConns(db.pool.Stats().MaxOpenConnections + by) }
