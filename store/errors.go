package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Kind names a kind of stored object as people write it.
type Kind string

// The kinds that can be missing.
const (
	KindClient     Kind = "Client"
	KindApp        Kind = "App"
	KindCatalogApp Kind = "Catalog app"
	KindVendor     Kind = "Vendor"
	KindCategory   Kind = "Category"
	KindToken      Kind = "Token"
)

// NotFoundError says that the key's client has no such object.
type NotFoundError struct {
	Kind Kind
	ID   uuid.UUID
}

func (e *NotFoundError) Error() string { return fmt.Sprintf("%s %s not found", e.Kind, e.ID) }

// ConflictError says that another object has the field's value already. Nothing was written.
type ConflictError struct {
	Field Column
	ID    uuid.UUID // what has the value, where that is known
}

func (e *ConflictError) Error() string { return string(e.Field) + " is taken" }

// ReferenceError says that a field names an object which does not exist. Nothing was written.
type ReferenceError struct{ Field string }

func (e *ReferenceError) Error() string { return e.Field + " names nothing" }

// InUseError says that an object cannot be deleted while others refer to it.
type InUseError struct{ Kind Kind }

func (e *InUseError) Error() string { return string(e.Kind) + " is in use" }

// PreconditionError says that the object has none of the tags that it must have. Nothing was written.
type PreconditionError struct {
	Except bool // it has one that it must not have, or it must not exist
}

func (e *PreconditionError) Error() string { return "the object is not as it must be" }

// ErrUnknownToken says that no token has this secret, or that it has expired or was revoked.
var ErrUnknownToken = errors.New("unknown token")

// The reasons of ErrUnknownToken, for the log.
var (
	ErrExpiredToken = fmt.Errorf("expired: %w", ErrUnknownToken)
	ErrRevokedToken = fmt.Errorf("revoked: %w", ErrUnknownToken)
)

// errClosed is the error of statements on a closed store.
var errClosed = errors.New("store is closed")

// translate turns a driver's error into one of this package's types where a caller can act on it, and adds what failed. It is called
// once, by the method that called the driver.
func (s *Store) translate(doing string, err error) error {
	unknown := (*InDoubtError)(nil)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unknown): // whatever the cause
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", doing, err)
	case s.closed.Load():
		err = &UnavailableError{cause: errClosed}
	case unavailable(err):
		err = &UnavailableError{cause: err}
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// uniqueViolation reports whether a statement violated a unique key.
func uniqueViolation(err error) bool {
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) {
		return pg.Code == "23505"
	}
	lite := (*sqlite.Error)(nil)
	return errors.As(err, &lite) &&
		(lite.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || lite.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}

// foreignKeyViolation reports whether a statement violated a foreign key.
func foreignKeyViolation(err error) bool {
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) {
		return pg.Code == "23503"
	}
	lite := (*sqlite.Error)(nil)
	return errors.As(err, &lite) && lite.Code() == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY
}

// lockTimeout reports whether a statement ended by lock_timeout.
func lockTimeout(err error) bool {
	pg := (*pgconn.PgError)(nil)
	return errors.As(err, &pg) && pg.Code == "55P03"
}

// timedOut reports whether a statement ended by statement_timeout.
func timedOut(err error) bool {
	pg := (*pgconn.PgError)(nil)
	return errors.As(err, &pg) && pg.Code == "57014"
}

// unavailable reports whether the database cannot serve now, as opposed to having refused the statement.
func unavailable(err error) bool {
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) {
		switch pg.Code[:2] {
		case "08", "53", "57", "58": // connection, resources, operator intervention, system error
			return true
		}
		return pg.Code == "25006" || lockTimeout(err) // 25006 is read-only: a standby or a failover under way
	}
	if lite := (*sqlite.Error)(nil); errors.As(err, &lite) {
		switch lite.Code() & 0xff {
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL,
			sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOMEM:
			return true
		}
		return false
	}
	var network net.Error
	var connect *pgconn.ConnectError
	return errors.As(err, &network) || errors.As(err, &connect) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, sql.ErrTxDone) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || connClosed(err)
}
