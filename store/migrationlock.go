package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/pressly/goose/v3/lock"
)

// migrationLock lets one server migrate at a time. The lock is a transaction's, not a session's as goose's own is: behind a
// pooler a session is a transaction, and the next one may be somebody else's. Whoever dies lets go of it.
type migrationLock struct{ held *sql.Tx }

var _ lock.Locker = (*migrationLock)(nil)

// A second between tries, for five minutes: the slowest migration that a starting server waits for.
const (
	migrationLockRetry = time.Second
	migrationLockTries = 300
)

var errMigrationLock = errors.New("another server has been migrating for too long")

// Lock implements lock.Locker. It gives its connection back between tries, since the one who has the lock needs a second
// one to migrate on, and a pooler may have few.
func (l *migrationLock) Lock(ctx context.Context, db *sql.DB) error {
	for try := 1; ; try++ {
		tx, err := l.try(ctx, db)
		if err != nil || tx != nil {
			l.held = tx
			return err
		}
		if try == migrationLockTries {
			return errMigrationLock
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(migrationLockRetry):
		}
	}
}

// try returns the transaction that holds the lock, or nil when somebody else has it.
func (l *migrationLock) try(ctx context.Context, db *sql.DB) (*sql.Tx, error) {
	// The pool may have one connection, which the migration needs.
	db.SetMaxOpenConns(db.Stats().MaxOpenConnections + 1)
	tx, err := db.BeginTx(ctx, nil)
	locked := false
	if err == nil {
		// As goose numbers it, so that a server with goose's own lock is kept out too. It is held for as long as a migration takes.
		const take = "SELECT pg_try_advisory_xact_lock($1), set_config('idle_in_transaction_session_timeout', '0', true)"
		err = tx.QueryRowContext(ctx, take, lock.DefaultLockID).Scan(&locked, new(string))
	}
	if err == nil && locked {
		return tx, nil
	}
	if tx != nil {
		_ = tx.Rollback()
	}
	l.shrink(db)
	if err != nil {
		return nil, fmt.Errorf("lock for a migration: %w", err)
	}
	return nil, nil //nolint:nilnil // somebody else has it, as the comment says
}

// Unlock implements lock.Locker.
func (l *migrationLock) Unlock(_ context.Context, db *sql.DB) error {
	err := l.held.Rollback()
	l.held = nil
	l.shrink(db)
	if errors.Is(err, sql.ErrTxDone) {
		return nil // the context has ended, and the transaction with it
	}
	return err
}

func (l *migrationLock) shrink(db *sql.DB) { db.SetMaxOpenConns(db.Stats().MaxOpenConnections - 1) }
