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

// tries is how often a statement or a transaction is begun that certainly wrote nothing: the connection may have been lost
// while nobody used it, or keep plans from before a table was altered, and so may the next, which somebody has just
// returned. Failures of other kinds end it at once, and so does the end of the caller's time.
const tries = 10

// settleEvery is how long a write whose connection was lost waits before it asks again what became of it.
const settleEvery = 50 * time.Millisecond

// OutcomeError says that the connection was lost while the database was writing, and that it could not be found out in
// time whether it has written. Nobody may be told that it has, nor that it has not.
type OutcomeError struct{ cause error }

func (e *OutcomeError) Error() string {
	return fmt.Sprintf("whether it was written is not known: %v", e.cause)
}

// errCannotTell is what a witness answers when the database no longer shows who wrote.
var errCannotTell = errors.New("others have written since")

// lostWriteError is a statement of a patch that was lost, and where.
type lostWriteError struct {
	on    backend
	cause error
}

func (e *lostWriteError) Error() string { return e.cause.Error() }

func (e *lostWriteError) Unwrap() error { return e.cause }

// lost says whether a statement may have done its work although its answer did not come: the connection broke, or the time
// was up. What never reached the database, and what it refused, is not lost.
func lost(err error) bool {
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

// connClosed knows an error of pgx that has no type. pgx calls it safe to retry, and so it is before a statement is sent; but
// it also takes the place of the true error when the answer to a COMMIT or to a batch is lost.
func connClosed(err error) bool { return strings.Contains(err.Error(), "conn closed") }

// transient says whether PostgreSQL refused a statement for what will not be so the next time: the plan that the
// connection had kept is out of date since the table was altered, or the transaction had to make way for another.
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

// again does something that writes nothing when it fails, until it has not failed for a reason that passes, or for too
// often.
func (s *Store) again(ctx context.Context, do func() error) error {
	for try := 1; ; try++ {
		err := do()
		if try == tries || !s.passing(ctx, err) {
			return err
		}
	}
}

// passing says whether a failure is one that the next try may not meet. What is wrong with a connection is likely wrong with
// those that lie idle too: they are given up, so that the next try has a new one.
func (s *Store) passing(ctx context.Context, err error) bool {
	if err == nil || ctx.Err() != nil {
		return false
	}
	if !lost(err) && !transient(err) {
		return false
	}
	s.db.dropIdle(s)
	return true
}

// witness says whether a write is in the database, by what it leaves there and nothing else does.
type witness func(db *gorm.DB) (bool, error)

// settle finds out what became of a write whose connection was lost. It asks as long as the database does not answer, for
// no longer than the store's timeout: then, or when nothing tells any more, it is OutcomeError. UnavailableError says that
// nothing was written and that there is no time to try again; nil with false that there is.
func (s *Store) settle(ctx context.Context, on backend, wrote witness, cause error) (bool, error) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return false, cause // nobody waits for an answer
	}
	s.db.dropIdle(s)
	if wrote == nil {
		return false, &OutcomeError{cause: cause}
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
			return false, &OutcomeError{cause: errors.Join(cause, err)}
		}
		select {
		case <-bounded.Done():
			return false, &OutcomeError{cause: errors.Join(cause, err)}
		case <-time.After(settleEvery):
		}
	}
}

// afterwards does what is left to do for the answer to a write that is in the database. It goes on when the caller's time is
// up, and ends in OutcomeError when the database does not come back in time: nobody may be told that nothing was written.
// Any other failure is a fault of the server's own.
func (s *Store) afterwards(ctx context.Context, do func(ctx context.Context) error) error {
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
		case <-time.After(settleEvery):
		}
	}
	if unavailable(err) {
		return &OutcomeError{cause: err}
	}
	return err
}

// bounded gives what no caller bounds the store's timeout.
func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.timeout)
}
