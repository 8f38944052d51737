package postgres

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// SQLSTATE codes, from appendix A of PostgreSQL's documentation.
const (
	uniqueViolation      = "23505"
	foreignKeyViolation  = "23503"
	lockNotAvailable     = "55P03" // lock_timeout
	queryCanceled        = "57014" // statement_timeout, or somebody canceled it
	readOnlyTransaction  = "25006" // a standby, or a failover under way
	featureNotSupported  = "0A000"
	datatypeMismatch     = "42804"
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	internalError        = "XX000" // also what Citus answers when a COMMIT on another machine had no answer
)

// asPgError returns the error that PostgreSQL answered, or nil for other errors.
func asPgError(err error) *pgconn.PgError {
	pgErr := (*pgconn.PgError)(nil)
	_ = errors.As(err, &pgErr)
	return pgErr
}

func hasCode(err error, code string) bool {
	pgErr := asPgError(err)
	return pgErr != nil && pgErr.Code == code
}

// IsError reports whether PostgreSQL itself has answered with an error.
func IsError(err error) bool { return asPgError(err) != nil }

// UniqueViolation reports whether a statement violated a unique key.
func UniqueViolation(err error) bool { return hasCode(err, uniqueViolation) }

// ForeignKeyViolation reports whether a statement violated a foreign key.
func ForeignKeyViolation(err error) bool { return hasCode(err, foreignKeyViolation) }

// LockTimeout reports whether a statement ended by lock_timeout.
func LockTimeout(err error) bool { return hasCode(err, lockNotAvailable) }

// StatementTimeout reports whether a statement ended by statement_timeout.
func StatementTimeout(err error) bool { return hasCode(err, queryCanceled) }

// MayHaveCommitted reports whether a statement, or a COMMIT, may have succeeded although PostgreSQL answered with this error. That is
// possible when the error ends the connection. Citus also answers with ordinary errors when it lost the machine that executed the
// statement, or was canceled while it waited for that machine. PostgreSQL alone never answers with those to a statement that it executed:
// then MayHaveCommitted costs a needless check.
func MayHaveCommitted(err error) bool {
	pgErr := asPgError(err)
	if pgErr == nil {
		return false
	}
	switch {
	case pgErr.SeverityUnlocalized == "FATAL" || pgErr.SeverityUnlocalized == "PANIC":
		return true
	case pgErr.Code == internalError || pgErr.Code == queryCanceled:
		return true
	case pgErr.Code[:2] == "08":
		return !notConnected(pgErr)
	}
	return pgErr.Code[:3] == "57P"
}

// notConnected recognizes errors of Citus, which have no code of their own, for a statement that was not sent to another machine because
// there was no connection. A text in another language is not recognized: then the statement is in doubt.
func notConnected(pgErr *pgconn.PgError) bool {
	return strings.Contains(pgErr.Message, "Connection refused") || strings.Contains(pgErr.Message, "the database system is ") ||
		strings.HasPrefix(pgErr.Message, "could not establish any connections to the node")
}

// Unavailable reports whether PostgreSQL answered that it cannot serve now, as opposed to having refused the statement.
func Unavailable(err error) bool {
	pgErr := asPgError(err)
	if pgErr == nil {
		return false
	}
	switch pgErr.Code[:2] {
	case "08", "53", "57", "58": // connection, resources, operator intervention, system error
		return true
	}
	return pgErr.Code == readOnlyTransaction || pgErr.Code == lockNotAvailable
}

// Transient reports whether PostgreSQL refused a statement for a reason that a new attempt does not meet: the connection had a
// plan from before the table was altered, or the transaction was the victim of a deadlock or of a conflict.
func Transient(err error) bool {
	pgErr := asPgError(err)
	if pgErr == nil {
		return false
	}
	switch pgErr.Code {
	case featureNotSupported:
		return pgErr.Routine == "RevalidateCachedQuery" // and not what else PostgreSQL does not support
	case datatypeMismatch:
		return pgErr.File == "pl_exec.c" // the trigger's plans, which last as long as the connection
	case serializationFailure, deadlockDetected:
		return true
	}
	return false
}

// NotSent reports whether a statement was certainly never sent.
func NotSent(err error) bool {
	var connect *pgconn.ConnectError
	return errors.As(err, &connect) || pgconn.SafeToRetry(err) && !connClosed(err)
}

// ConnectionFailed reports whether a connection could not be made, or had been closed.
func ConnectionFailed(err error) bool {
	var connect *pgconn.ConnectError
	return errors.As(err, &connect) || connClosed(err)
}

// TimedOut reports whether the deadline passed while a statement was being sent or executed, not while it waited for a connection.
func TimedOut(err error) bool { return pgconn.Timeout(err) }

// connClosed recognizes an error of pgx that has no type. pgx calls it safe to retry, which is right before a statement is sent.
// But pgx also returns it when the answer to a COMMIT or to a batch was lost.
func connClosed(err error) bool { return strings.Contains(err.Error(), "conn closed") }
