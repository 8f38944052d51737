package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/clientapps/clientapps/store/postgres"
	"github.com/clientapps/clientapps/store/retry"
	"github.com/clientapps/clientapps/store/sqlite"
)

// attempts bounds how often a statement or a transaction is tried that failed without writing. Several idle connections can be
// broken at once, or keep plans from before a table was altered: the first attempts follow each other at once.
var attempts = retry.Policy{Attempts: 10, Pause: time.Millisecond, MaxPause: 50 * time.Millisecond}

// probes is how often the database is asked what became of a write, until the time for that is over.
var probes = retry.Policy{Pause: 50 * time.Millisecond}

// InDoubtError says that the connection broke during a write, and that the database did not say in time whether the write
// was committed. Its caller must not report success, nor that nothing was written.
type InDoubtError struct{ cause error }

func (e *InDoubtError) Error() string {
	return fmt.Sprintf("whether it was written is not known: %v", e.cause)
}

// errCannotTell is what a commitProbe returns when later writes hide whether its own was committed.
var errCannotTell = errors.New("others have written since")

// inDoubtError is the failure of a patch that may have been committed, with what ends its connection.
type inDoubtError struct {
	fence func(ctx context.Context) error // returns when the connection can no longer write
	cause error
}

func (e *inDoubtError) Error() string { return e.cause.Error() }

func (e *inDoubtError) Unwrap() error { return e.cause }

// mayHaveCommitted reports whether a statement may have succeeded although it returned this error: the connection broke, or the
// time was up, after the statement was sent. It is false for statements that were never sent, and for those that were refused.
func mayHaveCommitted(err error) bool {
	switch {
	case err == nil:
		return false
	case postgres.IsError(err):
		return postgres.LastWords(err)
	case sqlite.IsError(err):
		return sqlite.Interrupted(err)
	case errors.Is(err, driver.ErrBadConn) || postgres.NotSent(err):
		return false
	}
	return errors.Is(err, context.Canceled) || unavailable(err)
}

// retry runs do until it succeeds, fails permanently, or the attempts are used up. do must have no effect when it fails.
func (s *Store) retry(ctx context.Context, do func() error) error {
	return attempts.Do(ctx, func() (again bool, err error) {
		err = do()
		return s.retryable(ctx, err), err
	})
}

// retryable reports whether another attempt may succeed. It closes the idle connections, which are likely broken too, so that
// the next attempt gets a new one.
func (s *Store) retryable(ctx context.Context, err error) bool {
	if err == nil || ctx.Err() != nil {
		return false
	}
	if !mayHaveCommitted(err) && !postgres.Transient(err) {
		return false
	}
	s.db.DropIdle()
	return true
}

// commitProbe reports whether a write was committed. It looks for something that only this write can have left.
type commitProbe func(db *gorm.DB) (bool, error)

// resolveInDoubt finds out whether a write was committed whose connection broke. It asks until the database answers, for at most
// the store's timeout. It returns InDoubtError when that is over or the probe cannot tell, and UnavailableError when nothing was
// written and the caller has no time left. When nothing was written and there is time to try again, it returns false and nil.
func (s *Store) resolveInDoubt(ctx context.Context, gone *inDoubtError, wrote commitProbe) (written bool, err error) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return false, gone.cause // nobody waits for an answer
	}
	s.db.DropIdle()
	if wrote == nil {
		return false, &InDoubtError{cause: gone.cause}
	}
	bounded, cancel := s.bounded(context.WithoutCancel(ctx))
	defer cancel()
	err = probes.Do(bounded, func() (again bool, err error) {
		if err = gone.fence(bounded); err == nil {
			written, err = wrote(s.write.WithContext(bounded))
		}
		return unavailable(err), err
	})
	switch {
	case err != nil:
		return false, &InDoubtError{cause: errors.Join(gone.cause, err)}
	case !written && ctx.Err() != nil:
		return false, &UnavailableError{cause: gone.cause}
	}
	return written, nil
}

// finishAfterCommit runs what the answer to a committed write still needs, also after the caller's deadline. While the database
// is away it tries again, for at most the store's timeout, and then returns InDoubtError: the write must not look like a failure.
func (s *Store) finishAfterCommit(ctx context.Context, do func(ctx context.Context) error) error {
	err := do(ctx)
	if !unavailable(err) || errors.Is(ctx.Err(), context.Canceled) {
		return err
	}
	bounded, cancel := s.bounded(context.WithoutCancel(ctx))
	defer cancel()
	err = probes.Do(bounded, func() (again bool, err error) {
		err = do(bounded)
		return unavailable(err), err
	})
	if unavailable(err) {
		return &InDoubtError{cause: err}
	}
	return err
}

// bounded adds the store's timeout to a context.
func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.timeout)
}
