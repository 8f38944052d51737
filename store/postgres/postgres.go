// Package postgres has what PostgreSQL does differently from SQLite: how it is opened, what its errors mean, which process serves
// a connection and how to end it, and the lock for migrations.
package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"go.opentelemetry.io/otel/trace"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
)

// Config says how to open a database.
type Config struct {
	URL         string        // postgres://…
	MaxConns    int           // connections of the pool
	Timeout     time.Duration // twice the time that a connection may take to be made, for each host that the URL names
	LockTimeout time.Duration // how long a transaction that writes waits for each lock, unless the URL has a lock_timeout

	Traces      trace.TracerProvider   // gets the spans of statements; may be nil
	OnStatement func(statement string) // called with each statement before it is sent; for tests, may be nil
	Gorm        *gorm.Config           // must not be shared with another database

	// Retry repeats a read that failed for a transient reason.
	Retry func(ctx context.Context, read func() error) error
}

// DB is an open PostgreSQL database. Its methods are safe for concurrent use.
type DB struct {
	orm   *gorm.DB
	pool  *sql.DB
	ready *sql.DB
	conns int

	distributed atomic.Bool // see Distributed
}

// ErrBadURL says that a URL cannot be parsed. The driver's text is left out: it repeats the URL, password and all.
var ErrBadURL = errors.New("the PostgreSQL URL cannot be parsed")

// Open prepares the pools. They connect when they are first used: a server may start before its database.
func Open(cfg Config) (*DB, error) {
	conn, err := pgx.ParseConfig(cfg.URL)
	if err != nil {
		return nil, ErrBadURL
	}
	if conn.ConnectTimeout == 0 {
		conn.ConnectTimeout = cfg.Timeout / 2
	}
	conn.StatementCacheCapacity = min(conn.StatementCacheCapacity, maxPreparedStatements)
	addTracers(conn, cfg)
	db := &DB{conns: cfg.MaxConns}
	connector := stdlib.GetConnector(*conn, stdlib.OptionAfterConnect(db.prepareConn), stdlib.OptionShouldPing(shouldPing))
	withLockTimeout := txConnector{Connector: connector}
	if _, set := conn.RuntimeParams["lock_timeout"]; !set {
		withLockTimeout.lockTimeout = cfg.LockTimeout
	}
	db.pool, db.ready = sql.OpenDB(withLockTimeout), sql.OpenDB(withLockTimeout)
	db.pool.SetMaxOpenConns(cfg.MaxConns)
	// As many idle as open: the default of two would close and open a connection for nearly every request.
	db.pool.SetMaxIdleConns(cfg.MaxConns)
	db.ready.SetMaxOpenConns(1)
	cfg.Gorm.DisableAutomaticPing = true
	db.orm, err = gorm.Open(postgres.New(postgres.Config{Conn: &readPool{DB: db.pool, retry: cfg.Retry}}), cfg.Gorm)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open PostgreSQL: %w", err), db.Close())
	}
	return db, nil
}

// maxPreparedStatements bounds the prepared statements of a connection. The store has fewer; a larger cache would cost memory.
const maxPreparedStatements = 256

// Writer is the pool for writing.
func (db *DB) Writer() *gorm.DB { return db.orm }

// Reader is the pool for reading: the same.
func (db *DB) Reader() *gorm.DB { return db.orm }

// Ready is a pool of one connection, for asking whether the database answers without waiting for other requests.
func (db *DB) Ready() *sql.DB { return db.ready }

// Close closes all connections.
func (db *DB) Close() error { return errors.Join(db.ready.Close(), db.pool.Close()) }

// DropIdle closes the idle connections of the pool.
func (db *DB) DropIdle() {
	db.pool.SetMaxIdleConns(0)
	db.pool.SetMaxIdleConns(db.conns)
}

// SharedLock returns a statement that takes a shared advisory lock until the transaction ends. On a distributed database the
// lock is on the machine that has the client.
func (db *DB) SharedLock(key string, client uuid.UUID) (sql string, args []any) {
	const lock = "SELECT pg_advisory_xact_lock_shared(%s)"
	if db.Distributed() {
		return fmt.Sprintf(lock+" FROM clients WHERE id = $1", key), []any{client}
	}
	return fmt.Sprintf(lock, key), nil
}

// Dialect is the database as goose calls it.
func (*DB) Dialect() goose.Dialect { return goose.DialectPostgres }

// HasSchema is a query that reports whether goose's table exists.
func (*DB) HasSchema() string { return "SELECT to_regclass('goose_db_version') IS NOT NULL" }

// Greatest is the SQL function that returns the greatest of its arguments.
func (*DB) Greatest() string { return "greatest" }

// Position is the SQL function that returns the position of a text in another, or 0.
func (*DB) Position() string { return "strpos" }

// ChangeHorizon is the position of the oldest writing transaction still open.
func (*DB) ChangeHorizon() string {
	return "(incarnation << 48) + pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
}

// ChangeEnd is the position of a transaction that begins now.
func (*DB) ChangeEnd() string {
	return "(incarnation << 48) + pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
}

// ChangesKept is the estimate of the last VACUUM or ANALYZE.
func (*DB) ChangesKept() string {
	return "(SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'app_changes'::regclass)"
}

// DatabaseID identifies the cluster, its timeline, which a failover or a recovery changes, and the database in it.
func (*DB) DatabaseID() string {
	return "(SELECT system_identifier FROM pg_control_system()) || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8) || '/' || " +
		"(SELECT oid FROM pg_database WHERE datname = current_database())"
}

// CheckRowLevelSecurity returns an error unless row-level security applies to this role on all tables if it is wanted, and on none if not.
// Where it is missing, the server would see the rows of every client; where it is unwanted, it would see no rows.
func (db *DB) CheckRowLevelSecurity(ctx context.Context, tables []string, wanted bool) error {
	var all, some bool
	const query = "SELECT coalesce(bool_and(row_security_active(name)), false), coalesce(bool_or(row_security_active(name)), false) " +
		"FROM unnest(CAST($1 AS text[])) AS name"
	if err := db.ready.QueryRowContext(ctx, query, "{"+strings.Join(tables, ",")+"}").Scan(&all, &some); err != nil {
		return err
	}
	switch {
	case wanted && !all:
		return errors.New("row security is asked for, but does not hold for this role: run deploy/rls.sql, and serve as another role than the owner")
	case some && !wanted:
		return errors.New("the database has row security for this role: serve with --row-level-security")
	}
	return nil
}

// pingTimeout bounds the ping of a connection that was idle.
const pingTimeout = time.Second

// shouldPing reports whether database/sql must ping a connection before it is used. One that was idle is pinged here, with a bound:
// behind a broken network the answer never comes.
func shouldPing(ctx context.Context, p stdlib.ShouldPingParams) bool {
	if p.IdleDuration < time.Second {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	return p.Conn.Ping(ctx) != nil // closed by now, so that the ping which is due fails at once
}

// prepareConn makes a connection read times in UTC, since pgx uses the zone of the machine, and stores its backend. It registers the
// type of ids for connections that do not ask PostgreSQL for the types of parameters: behind a pooler with default_query_exec_mode=exec.
func (db *DB) prepareConn(ctx context.Context, conn *pgx.Conn) error {
	types := conn.TypeMap()
	types.RegisterType(&pgtype.Type{
		Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
	})
	types.RegisterDefaultPgType(uuid.UUID{}, "uuid")
	types.RegisterDefaultPgType(&uuid.UUID{}, "uuid")
	types.RegisterDefaultPgType([]uuid.UUID{}, "_uuid")
	return db.identifyBackend(ctx, conn)
}
