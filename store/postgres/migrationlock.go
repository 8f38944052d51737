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

// migrationTurn is how a server waits for another one's migration: five minutes, the slowest that it waits for.
var migrationTurn = retry.Policy{Attempts: 300, Pause: time.Second}

var errMigrationLock = errors.New("another server has been migrating for too long")

// LockMigrations lets one server migrate at a time, and returns what ends that. The lock is a transaction's, not a session's as
// goose's own is: behind a pooler a session is a transaction, and the next one may belong to another server. A server that dies releases it.
func (db *DB) LockMigrations(ctx context.Context) (unlock func() error, err error) {
	err = migrationTurn.Do(ctx, func() (again bool, err error) {
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
// tries, since the server that has the lock needs a second one to migrate, and a pooler may have few.
func (db *DB) tryLock(ctx context.Context) (*sql.Tx, error) {
	db.resize(+1) // the pool may have one connection, which the migration needs
	tx, err := db.pool.BeginTx(ctx, nil)
	locked := false
	if err == nil {
		// As goose numbers it, so that a server with goose's own lock is kept out too.
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
