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

// state returns what PostgreSQL answered, or nil.
func state(err error) *pgconn.PgError {
	refused := (*pgconn.PgError)(nil)
	_ = errors.As(err, &refused)
	return refused
}

func hasCode(err error, code string) bool {
	refused := state(err)
	return refused != nil && refused.Code == code
}

// IsError reports whether PostgreSQL itself has answered with an error.
func IsError(err error) bool { return state(err) != nil }

// UniqueViolation reports whether a statement violated a unique key.
func UniqueViolation(err error) bool { return hasCode(err, uniqueViolation) }

// ForeignKeyViolation reports whether a statement violated a foreign key.
func ForeignKeyViolation(err error) bool { return hasCode(err, foreignKeyViolation) }

// LockTimeout reports whether a statement ended by lock_timeout.
func LockTimeout(err error) bool { return hasCode(err, lockNotAvailable) }

// StatementTimeout reports whether a statement ended by statement_timeout.
func StatementTimeout(err error) bool { return hasCode(err, queryCanceled) }

// MayHaveCommitted reports whether a statement, or a COMMIT, may have succeeded although PostgreSQL answered with this error. It is so
// when the error is the last that the connection says. Citus answers with ordinary errors when it lost the machine that executed the
// statement, or was canceled while it waited for that machine. PostgreSQL alone does not answer so to a statement that it executed; then
// it costs another look.
func MayHaveCommitted(err error) bool {
	refused := state(err)
	if refused == nil {
		return false
	}
	switch {
	case refused.SeverityUnlocalized == "FATAL" || refused.SeverityUnlocalized == "PANIC":
		return true
	case refused.Code == internalError || refused.Code == queryCanceled:
		return true
	case refused.Code[:2] == "08":
		return !notConnected(refused)
	}
	return refused.Code[:3] == "57P"
}

// notConnected recognizes errors of Citus, which have no code of their own, for a statement that was not sent to another machine because
// there was no connection. A text in another language is not recognized: then the statement is in doubt.
func notConnected(refused *pgconn.PgError) bool {
	return strings.Contains(refused.Message, "Connection refused") || strings.Contains(refused.Message, "the database system is ") ||
		strings.HasPrefix(refused.Message, "could not establish any connections to the node")
}

// Unavailable reports whether PostgreSQL answered that it cannot serve now, as opposed to having refused the statement.
func Unavailable(err error) bool {
	refused := state(err)
	if refused == nil {
		return false
	}
	switch refused.Code[:2] {
	case "08", "53", "57", "58": // connection, resources, operator intervention, system error
		return true
	}
	return refused.Code == readOnlyTransaction || refused.Code == lockNotAvailable
}

// Transient reports whether PostgreSQL refused a statement for a reason that a new attempt does not meet: the connection had a
// plan from before the table was altered, or the transaction was chosen to end a deadlock.
func Transient(err error) bool {
	refused := state(err)
	if refused == nil {
		return false
	}
	switch refused.Code {
	case featureNotSupported:
		return refused.Routine == "RevalidateCachedQuery" // and not what else PostgreSQL does not support
	case datatypeMismatch:
		return refused.File == "pl_exec.c" // the trigger's plans, which last as long as the connection
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

// TimedOut reports whether the time was up while a statement was on its way, not before it had a connection.
func TimedOut(err error) bool { return pgconn.Timeout(err) }

// connClosed recognizes an error of pgx that has no type. pgx calls it safe to retry, which is right before a statement is sent.
// But pgx also returns it when the answer to a COMMIT or to a batch was lost.
func connClosed(err error) bool { return strings.Contains(err.Error(), "conn closed") }
