package store

import (
	"context"
	"database/sql"

	"gorm.io/gorm"
)

// inTx runs work in one transaction. An error, or a panic, leaves nothing written: but for OutcomeError, which says that
// nobody knows.
//
// work may run again, when nothing of what it did is left: the connection was lost on the way, the transaction had to make
// way for another, or wrote says of a lost COMMIT that it never was. Without wrote a lost COMMIT is OutcomeError.
//
// The transaction takes part in the share of the pool that the key names, and waits for that in memory.
func (s *Store) inTx(ctx context.Context, share shareKey, wrote witness, work func(tx *gorm.DB) error) error {
	release, err := s.shares.acquire(ctx, share)
	if err != nil {
		return err
	}
	defer release()
	for try := 1; ; try++ {
		on, committing, err := s.tryTx(ctx, work)
		s.counts.lockTimeouts.note(share.path(), err)
		if committing && lost(err) {
			written, problem := s.settle(ctx, on, wrote, err)
			if written || problem != nil {
				return problem
			}
		} else if !s.passing(ctx, err) {
			return err
		}
		if try == tries {
			return &UnavailableError{cause: err}
		}
	}
}

// tryTx runs work in a transaction once. committing says that it came as far as COMMIT.
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
	return s.again(ctx, func() error { return s.read.WithContext(ctx).Transaction(work, snapshot) })
}
