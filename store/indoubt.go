package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// maxAttempts bounds how often a statement or a transaction is tried that failed without writing. Several idle connections
// can be broken at once, or keep plans from before a table was altered.
const maxAttempts = 10

// probeInterval is the pause between two questions about what became of a write.
const probeInterval = 50 * time.Millisecond

// InDoubtError says that the connection broke during a write, and that the database did not say in time whether the write
// was committed. Its caller must not report success, nor that nothing was written.
type InDoubtError struct{ cause error }

func (e *InDoubtError) Error() string {
	return fmt.Sprintf("whether it was written is not known: %v", e.cause)
}

// errCannotTell is what a commitProbe returns when later writes hide whether its own was committed.
var errCannotTell = errors.New("others have written since")

// inDoubtError is the failure of a patch that may have been committed, with the backend that ran it.
type inDoubtError struct {
	on    backend
	cause error
}

func (e *inDoubtError) Error() string { return e.cause.Error() }

func (e *inDoubtError) Unwrap() error { return e.cause }

// mayHaveCommitted reports whether a statement may have succeeded although it returned this error: the connection broke, or the
// time was up, after the statement was sent. It is false for statements that were never sent, and for those that were refused.
func mayHaveCommitted(err error) bool {
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) {
		return pg.SeverityUnlocalized == "FATAL" || pg.SeverityUnlocalized == "PANIC" // the last words of a connection
	}
	if lite := (*sqlite.Error)(nil); errors.As(err, &lite) {
		return lite.Code() == sqlite3.SQLITE_INTERRUPT
	}
	var connect *pgconn.ConnectError
	if err == nil || errors.As(err, &connect) || errors.Is(err, driver.ErrBadConn) || pgconn.SafeToRetry(err) && !connClosed(err) {
		return false
	}
	return errors.Is(err, context.Canceled) || unavailable(err)
}

// connClosed recognizes an error of pgx that has no type. pgx calls it safe to retry, which is right before a statement is sent.
// But pgx also returns it when the answer to a COMMIT or to a batch was lost.
func connClosed(err error) bool { return strings.Contains(err.Error(), "conn closed") }

// transient reports whether PostgreSQL refused a statement for a reason that a new attempt does not meet: the connection had a
// plan from before the table was altered, or the transaction was chosen to end a deadlock.
func transient(err error) bool {
	pg := (*pgconn.PgError)(nil)
	if !errors.As(err, &pg) {
		return false
	}
	switch pg.Code {
	case "0A000":
		return pg.Routine == "RevalidateCachedQuery" // and not what else PostgreSQL does not support
	case "42804":
		return pg.File == "pl_exec.c" // the trigger's plans, which last as long as the connection
	case "40001", "40P01": // could not be serialized, deadlock
		return true
	}
	return false
}

// retry runs do until it succeeds, fails permanently, or maxAttempts is reached. do must have no effect when it fails.
func (s *Store) retry(ctx context.Context, do func() error) error {
	for try := 1; ; try++ {
		err := do()
		if try == maxAttempts || !s.retryable(ctx, err) {
			return err
		}
	}
}

// retryable reports whether another attempt may succeed. It closes the idle connections, which are likely broken too, so that
// the next attempt gets a new one.
func (s *Store) retryable(ctx context.Context, err error) bool {
	if err == nil || ctx.Err() != nil {
		return false
	}
	if !mayHaveCommitted(err) && !transient(err) {
		return false
	}
	s.db.dropIdle(s)
	return true
}

// commitProbe reports whether a write was committed. It looks for something that only this write can have left.
type commitProbe func(db *gorm.DB) (bool, error)

// resolveInDoubt finds out whether a write was committed whose connection broke. It asks until the database answers, for at most
// the store's timeout. It returns InDoubtError when that is over or the probe cannot tell, and UnavailableError when nothing was
// written and the caller has no time left. When nothing was written and there is time to try again, it returns false and nil.
func (s *Store) resolveInDoubt(ctx context.Context, on backend, wrote commitProbe, cause error) (bool, error) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return false, cause // nobody waits for an answer
	}
	s.db.dropIdle(s)
	if wrote == nil {
		return false, &InDoubtError{cause: cause}
	}
	bounded, cancel := s.bounded(context.WithoutCancel(ctx))
	defer cancel()
	for {
		err := s.db.fence(bounded, s, on)
		written := false
		if err == nil {
			written, err = wrote(s.write.WithContext(bounded))
		}
		switch {
		case err == nil && (written || ctx.Err() == nil):
			return written, nil
		case err == nil:
			return false, &UnavailableError{cause: cause}
		case !unavailable(err):
			return false, &InDoubtError{cause: errors.Join(cause, err)}
		}
		select {
		case <-bounded.Done():
			return false, &InDoubtError{cause: errors.Join(cause, err)}
		case <-time.After(probeInterval):
		}
	}
}

// finishAfterCommit runs what the answer to a committed write still needs, also after the caller's deadline. While the database
// is away it tries again, for at most the store's timeout, and then returns InDoubtError: the write must not look like a failure.
func (s *Store) finishAfterCommit(ctx context.Context, do func(ctx context.Context) error) error {
	err := do(ctx)
	if err == nil || errors.Is(ctx.Err(), context.Canceled) {
		return err
	}
	bounded, cancel := s.bounded(context.WithoutCancel(ctx))
	defer cancel()
	for unavailable(err) && bounded.Err() == nil {
		if err = do(bounded); err == nil {
			return nil
		}
		select {
		case <-bounded.Done():
		case <-time.After(probeInterval):
		}
	}
	if unavailable(err) {
		return &InDoubtError{cause: err}
	}
	return err
}

// bounded adds the store's timeout to a context.
func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.timeout)
}
