package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store/etag"
	"github.com/clientapps/clientapps/store/postgres"
	"github.com/clientapps/clientapps/store/sqlite"
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
	KindWebhook    Kind = "Webhook"
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
type ReferenceError struct {
	Field string
	ID    uuid.UUID // what does not exist, if the field has many ids
}

func (e *ReferenceError) Error() string {
	if e.ID != uuid.Nil {
		return fmt.Sprintf("%s names %s, which does not exist", e.Field, e.ID)
	}
	return e.Field + " names nothing"
}

// PastError says that a field has a time that must be in the future and is not. Nothing was written.
type PastError struct{ Field string }

func (e *PastError) Error() string { return e.Field + " is not in the future" }

// EndedTokenError says that a token is revoked or expired, and cannot be changed. Nothing was written.
type EndedTokenError struct {
	ID    uuid.UUID
	cause error
}

func (e *EndedTokenError) Error() string { return fmt.Sprintf("token %s is %s", e.ID, e.State()) }

// State is "revoked" or "expired".
func (e *EndedTokenError) State() string {
	if errors.Is(e.cause, ErrRevokedToken) {
		return "revoked"
	}
	return "expired"
}

// ErrExceedsToken says that a token would give or change more than it has itself. Nothing was written.
var ErrExceedsToken = errors.New("this is more than the token has")

// InUseError says that an object cannot be deleted while others refer to it.
type InUseError struct{ Kind Kind }

func (e *InUseError) Error() string { return string(e.Kind) + " is in use" }

// ClientSuspendedError says that the apps of a client cannot be written because it is suspended. Nothing was written.
type ClientSuspendedError struct{ ID uuid.UUID }

func (e *ClientSuspendedError) Error() string { return fmt.Sprintf("client %s is suspended", e.ID) }

// ClientNotSuspendedError says that a client cannot be deleted before it is suspended.
type ClientNotSuspendedError struct{ ID uuid.UUID }

func (e *ClientNotSuspendedError) Error() string {
	return fmt.Sprintf("client %s is not suspended", e.ID)
}

// WebhookLimitError says that a client, or all clients together if ClientID is nil, have as many webhooks as they may.
type WebhookLimitError struct {
	ClientID *uuid.UUID
	Limit    int
}

func (e *WebhookLimitError) Error() string {
	return fmt.Sprintf("there are %d webhooks already", e.Limit)
}

// WebhookPrunedError says that a webhook cannot be made active because changes that it has not delivered were pruned. Nothing was written.
type WebhookPrunedError struct{ ID uuid.UUID }

func (e *WebhookPrunedError) Error() string {
	return fmt.Sprintf("changes that webhook %s has not delivered were pruned", e.ID)
}

// TooSoonError says that something was done a short time ago and can be done again after RetryAfter. Nothing was written.
type TooSoonError struct{ RetryAfter time.Duration }

func (e *TooSoonError) Error() string { return fmt.Sprintf("too soon, by %s", e.RetryAfter) }

// ErrWebhookChanged says that a webhook is no longer as the worker has it: a caller has changed or deleted it, or another worker has it.
// The worker must leave it and go on with others.
var ErrWebhookChanged = errors.New("the webhook has changed meanwhile")

// PreconditionError says that the object has none of the tags that it must have. Nothing was written.
type PreconditionError = etag.PreconditionError

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
	ReasonLock     UnavailableReason = "lock"     // another transaction held a lock for too long
	ReasonQueue    UnavailableReason = "queue"    // too many patches or reads wait
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
	case postgres.LockTimeout(e.cause) || sqlite.Busy(e.cause):
		return ReasonLock
	case noConnection(e.cause):
		return ReasonPool
	}
	return ReasonDatabase
}

// noConnection reports whether the time was up before a connection was free. SQLite interrupts a statement by itself.
func noConnection(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) && !postgres.TimedOut(err) && !sqlite.IsError(err)
}

// ErrUnknownToken says that no token has this secret, or that it has expired or was revoked.
var ErrUnknownToken = errors.New("unknown token")

// The reasons of ErrUnknownToken, for the log.
var (
	ErrExpiredToken = fmt.Errorf("expired: %w", ErrUnknownToken)
	ErrRevokedToken = fmt.Errorf("revoked: %w", ErrUnknownToken)

	// ErrReplacedSecret says that the token was rotated and this secret of it has ended.
	ErrReplacedSecret = fmt.Errorf("replaced: %w", ErrUnknownToken)
)

// errClosed is the error of statements on a closed store.
var errClosed = errors.New("store is closed")

// translate turns a driver's error into one of this package's types where a caller can act on it, and adds what failed. It is called
// once, by the method that called the driver.
func (s *Store) translate(doing string, err error) error {
	inDoubt := (*InDoubtError)(nil)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &inDoubt): // whatever the cause
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
	return postgres.UniqueViolation(err) || sqlite.UniqueViolation(err)
}

// foreignKeyViolation reports whether a statement violated a foreign key.
func foreignKeyViolation(err error) bool {
	return postgres.ForeignKeyViolation(err) || sqlite.ForeignKeyViolation(err)
}

// unavailable reports whether the database cannot serve now, as opposed to having refused the statement.
func unavailable(err error) bool {
	switch {
	case err == nil:
		return false
	case postgres.IsError(err):
		return postgres.Unavailable(err)
	case sqlite.IsError(err):
		return sqlite.Unavailable(err)
	}
	var network net.Error
	return errors.As(err, &network) || postgres.ConnectionFailed(err) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, sql.ErrTxDone) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
