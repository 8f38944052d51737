package sqlite

import (
	"errors"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// code returns the result code that SQLite answered, and false for other errors.
func code(err error) (int, bool) {
	sqliteErr := (*sqlite.Error)(nil)
	if !errors.As(err, &sqliteErr) {
		return 0, false
	}
	return sqliteErr.Code(), true
}

// primaryCode returns the primary result code of a result code, which may be an extended one.
func primaryCode(code int) int { return code & 0xff }

// IsError reports whether SQLite itself has answered with an error.
func IsError(err error) bool {
	_, ok := code(err)
	return ok
}

// UniqueViolation reports whether a statement violated a unique key.
func UniqueViolation(err error) bool {
	c, ok := code(err)
	return ok && (c == sqlite3.SQLITE_CONSTRAINT_UNIQUE || c == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}

// ForeignKeyViolation reports whether a statement violated a foreign key.
func ForeignKeyViolation(err error) bool {
	c, ok := code(err)
	return ok && c == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY
}

// Busy reports whether another transaction has the lock that a statement needs.
func Busy(err error) bool {
	c, ok := code(err)
	return ok && (primaryCode(c) == sqlite3.SQLITE_BUSY || primaryCode(c) == sqlite3.SQLITE_LOCKED)
}

// Interrupted reports whether a statement was ended by its context.
func Interrupted(err error) bool {
	c, ok := code(err)
	return ok && c == sqlite3.SQLITE_INTERRUPT
}

// Unavailable reports whether SQLite answered that it cannot serve now, as opposed to having refused the statement.
func Unavailable(err error) bool {
	c, ok := code(err)
	if !ok {
		return false
	}
	switch primaryCode(c) {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL,
		sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOMEM:
		return true
	}
	return false
}
