package store

import (
	"context"
	"database/sql"

	"gorm.io/gorm"
)

// inTx runs work in one transaction. Any error other than InDoubtError, and any panic, means that nothing was committed.
//
// work runs again when an attempt left nothing behind: the connection broke before COMMIT, the transaction lost a deadlock, or
// wrote reports that a COMMIT without an answer had no effect. With a nil wrote, a COMMIT without an answer is InDoubtError.
//
// The transaction first waits, in memory, for a connection of the share of the pool that the key names.
func (s *Store) inTx(ctx context.Context, share shareKey, wrote commitProbe, work func(tx *gorm.DB) error) error {
	release, err := s.shares.acquire(ctx, share)
	if err != nil {
		return err
	}
	defer release()
	for try := 1; ; try++ {
		on, committing, err := s.tryTx(ctx, work)
		s.counts.lockTimeouts.note(share.path(), err)
		if committing && mayHaveCommitted(err) {
			written, problem := s.resolveInDoubt(ctx, on, wrote, err)
			if written || problem != nil {
				return problem
			}
		} else if !s.retryable(ctx, err) {
			return err
		}
		if try == maxAttempts {
			return &UnavailableError{cause: err}
		}
	}
}

// tryTx runs work in a transaction once. committing reports that COMMIT was sent.
func (s *Store) tryTx(ctx context.Context, work func(tx *gorm.DB) error) (on backend, committing bool, err error) {
	err = s.write.WithContext(ctx).Connection(func(conn *gorm.DB) error {
		on = s.db.backend(conn)
		tx := conn.Session(&gorm.Session{NewDB: true, Context: ctx}).Begin()
		if tx.Error != nil {
			return tx.Error
		}
		defer func() {
			if !committing {
				tx.Rollback()
			}
		}()
		if err := work(tx); err != nil {
			return err
		}
		committing = true
		return tx.Commit().Error
	})
	return on, committing, err
}

var snapshot = &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}

// inSnapshot runs work, which only reads, in a transaction that sees one state of all tables.
func (s *Store) inSnapshot(ctx context.Context, work func(tx *gorm.DB) error) error {
	return s.retry(ctx, func() error { return s.read.WithContext(ctx).Transaction(work, snapshot) })
}
