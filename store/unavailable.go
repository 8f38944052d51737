package store

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// UnavailableError says that the database could not be reached or could not run the statement now. A later attempt may succeed.
type UnavailableError struct {
	reason UnavailableReason // "": what the cause tells
	cause  error
}

func (e *UnavailableError) Error() string { return "database unavailable: " + e.cause.Error() }

func (e *UnavailableError) Unwrap() error { return e.cause }

// UnavailableReason is the reason of an UnavailableError in one word, for logs and metrics.
type UnavailableReason string

// The reasons.
const (
	ReasonDatabase UnavailableReason = "database" // it cannot be reached, does not answer in time, or refuses for lack of resources
	ReasonPool     UnavailableReason = "pool"     // no connection was free in time
	ReasonShare    UnavailableReason = "share"    // other writes of the same client had its share of the connections
	ReasonLock     UnavailableReason = "lock"     // somebody else held a lock for too long
	ReasonQueue    UnavailableReason = "queue"    // too many patches wait
	ReasonTokens   UnavailableReason = "tokens"   // too many tokens wait to be looked up
	ReasonConflict UnavailableReason = "conflict" // others changed the same object at each attempt
)

// UnavailableReasons lists them all.
func UnavailableReasons() []UnavailableReason {
	return []UnavailableReason{
		ReasonDatabase, ReasonPool, ReasonShare, ReasonLock, ReasonQueue, ReasonTokens, ReasonConflict,
	}
}

// Reason says why the database could not serve.
func (e *UnavailableError) Reason() UnavailableReason {
	switch {
	case e.reason != "":
		return e.reason
	case lockTimeout(e.cause) || sqliteBusy(e.cause):
		return ReasonLock
	case noConnection(e.cause):
		return ReasonPool
	}
	return ReasonDatabase
}

// noConnection reports whether the time was up before a connection was free. For its own statements pgx has an error type; SQLite
// interrupts them.
func noConnection(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) && !pgconn.Timeout(err) && !sqliteError(err)
}

func sqliteBusy(err error) bool {
	lite := (*sqlite.Error)(nil)
	return errors.As(err, &lite) && (lite.Code()&0xff == sqlite3.SQLITE_BUSY || lite.Code()&0xff == sqlite3.SQLITE_LOCKED)
}

func sqliteError(err error) bool {
	lite := (*sqlite.Error)(nil)
	return errors.As(err, &lite)
}
