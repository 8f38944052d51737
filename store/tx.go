package store

import (
	"context"
	"database/sql"
	"errors"

	"gorm.io/gorm"

	"github.com/clientapps/clientapps/store/tenant"
)

// inTx runs work in one transaction. Any error other than InDoubtError, and any panic, means that nothing was committed.
//
// work runs again when an attempt left nothing behind: the connection broke before COMMIT, the transaction lost a deadlock, or
// wrote reports that a COMMIT without an answer had no effect. With a nil wrote, a COMMIT without an answer is InDoubtError.
//
// The transaction first waits, in memory, for a connection of the share of the pool that the key names.
func (s *Store) inTx(ctx context.Context, share shareKey, wrote commitProbe, work func(tx *gorm.DB) error) error {
	return s.inTxOf(ctx, share, share.path(), wrote, work)
}

// inTxOf is inTx with the kind of write that a lock timeout counts for.
func (s *Store) inTxOf(ctx context.Context, share shareKey, path lockPath, wrote commitProbe, work func(tx *gorm.DB) error) error {
	release, err := s.shares.acquire(ctx, share)
	if err != nil {
		return err
	}
	defer release()
	again := false
	err = attempts.Do(ctx, func() (bool, error) {
		err := s.tryTx(ctx, share, work)
		s.counts.lockTimeouts.note(path, err)
		if gone := (*inDoubtError)(nil); errors.As(err, &gone) {
			written, problem := s.resolveInDoubt(ctx, gone, wrote)
			if again = !written && problem == nil; again {
				problem = gone.cause
			}
			return again, problem
		}
		again = s.retryable(ctx, err)
		return again, err
	})
	if again { // and there are no attempts left
		return &UnavailableError{cause: err}
	}
	return err
}

// tryTx runs work in a transaction once. With row-level security, the transaction of a client's share sees the client's rows only.
// It returns inDoubtError when the COMMIT was sent and may have succeeded.
func (s *Store) tryTx(ctx context.Context, share shareKey, work func(tx *gorm.DB) error) error {
	return s.write.WithContext(ctx).Connection(func(conn *gorm.DB) error {
		fence := s.db.Fence(conn)
		tx := conn.Session(&gorm.Session{NewDB: true, Context: ctx}).Begin()
		if tx.Error != nil {
			return tx.Error
		}
		committing := false
		defer func() {
			if !committing {
				tx.Rollback()
			}
		}()
		if s.rls && share.kind == shareOfClient {
			if err := tenant.Enter(tx, share.client); err != nil {
				return err
			}
		}
		if err := work(tx); err != nil {
			return err
		}
		committing = true
		err := tx.Commit().Error
		if mayHaveCommitted(err) {
			return &inDoubtError{fence: fence, cause: err}
		}
		return err
	})
}

var snapshot = &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}

// inSnapshot runs work, which only reads, in a transaction that sees one state of all tables.
func (s *Store) inSnapshot(ctx context.Context, work func(tx *gorm.DB) error) error {
	return s.retry(ctx, func() error { return s.read.WithContext(ctx).Transaction(work, snapshot) })
}
