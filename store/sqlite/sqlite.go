// Package sqlite has what SQLite does differently from PostgreSQL: how its file is opened and backed up, what its errors mean, and
// the lock for migrations.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/uuid"
	"github.com/pressly/goose/v3"
	"go.opentelemetry.io/otel/trace"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
)

// Config says how to open a database.
type Config struct {
	Path      string
	MustExist bool // a missing file is an error; by default it is created
	MaxConns  int  // readers

	Traces      trace.TracerProvider   // gets the spans of statements; may be nil
	OnStatement func(statement string) // called with each statement; for tests, may be nil
	Gorm        func() *gorm.Config    // of a pool
}

// DB is an open SQLite database: one writer, and readers beside it. Its methods are safe for concurrent use.
type DB struct {
	path        string
	write, read *gorm.DB
	ready       *sql.DB
}

// Open opens the file, and creates it where there is none.
func Open(cfg Config) (*DB, error) {
	if err := createFile(cfg.Path, cfg.MustExist); err != nil {
		return nil, err
	}
	db := &DB{path: cfg.Path}
	// gorm prepares nothing on the writer: a statement prepared outside of a transaction would wait for the only connection
	// while a transaction that holds it waits for the statement, and one prepared inside ends with its transaction.
	var err error
	if db.write, err = openPool(cfg, url.Values{"_txlock": {"immediate"}}, 1, false); err != nil {
		return nil, err
	}
	readOnly := url.Values{"_pragma": {"query_only(1)"}}
	if db.read, err = openPool(cfg, readOnly, cfg.MaxConns, true); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if db.ready, err = openTraced(dsn(cfg.Path, readOnly), nil, nil); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	db.ready.SetMaxOpenConns(1)
	return db, nil
}

// dsn returns the data source name of the file. It contains the pragmas, because each pooled connection needs them. busy_timeout comes
// first: the others may have to wait. With synchronous(FULL), a write is on the disk before it is acknowledged.
func dsn(path string, params url.Values) string {
	q := url.Values{
		"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"},
		// Times are integers, so that they sort and compare as numbers.
		"_time_integer_format": {"unix_milli"},
		"_inttotime":           {"1"},
		"_timezone":            {"UTC"},
	}
	for k, v := range params {
		q[k] = append(q[k], v...)
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// createFile creates the file if it does not exist. Only its owner can read it, since it contains hashes of tokens. SQLite gives the files
// beside it the same mode.
func createFile(path string, mustExist bool) error {
	if mustExist {
		_, err := os.Stat(path)
		if errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("there is no database %s: run clientapps migrate up or clientapps serve, which make one", path)
		}
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // where the operator says
	if err != nil {
		return err
	}
	return file.Close()
}

func openPool(cfg Config, params url.Values, conns int, prepare bool) (*gorm.DB, error) {
	pool, err := openTraced(dsn(cfg.Path, params), cfg.Traces, cfg.OnStatement)
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	gcfg := cfg.Gorm()
	gcfg.PrepareStmt = prepare
	db, err := gorm.Open(sqlite.New(sqlite.Config{Conn: pool}), gcfg)
	if err == nil && cfg.OnStatement != nil {
		err = reportStatements(db, cfg.OnStatement)
	}
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return db, nil
}

// Writer is the pool for writing, of one connection.
func (db *DB) Writer() *gorm.DB { return db.write }

// Reader is the pool for reading.
func (db *DB) Reader() *gorm.DB { return db.read }

// Ready is a pool of one connection, for asking whether the database answers without waiting for other requests.
func (db *DB) Ready() *sql.DB { return db.ready }

// Close closes all connections.
func (db *DB) Close() error {
	var errs []error
	for _, orm := range []*gorm.DB{db.write, db.read} {
		if orm == nil {
			continue
		}
		pool, err := orm.DB()
		if err == nil {
			err = pool.Close()
		}
		errs = append(errs, err)
	}
	if db.ready != nil {
		errs = append(errs, db.ready.Close())
	}
	return errors.Join(errs...)
}

// DropIdle has nothing to do: connections to a file do not break.
func (*DB) DropIdle() {}

// Fence has nothing to wait for: a statement that ran out of time has ended when its connection is free again, and there is only
// one to write with.
func (*DB) Fence(*gorm.DB) func(context.Context) error {
	return func(context.Context) error { return nil }
}

// SharedLock is empty: SQLite has one writer.
func (*DB) SharedLock(string, uuid.UUID) (sql string, args []any) { return "", nil }

// Distributed is false: an SQLite database is one file.
func (*DB) Distributed() bool { return false }

// AwaitWriters has nobody to wait for: SQLite has one writer.
func (*DB) AwaitWriters(context.Context, ...string) error { return nil }

// Dialect is the database as goose calls it.
func (*DB) Dialect() goose.Dialect { return goose.DialectSQLite3 }

// HasSchema is a query that reports whether goose's table exists.
func (*DB) HasSchema() string {
	return "SELECT count(*) > 0 FROM sqlite_master WHERE type = 'table' AND name = 'goose_db_version'"
}

// Greatest is the SQL function that returns the greatest of its arguments.
func (*DB) Greatest() string { return "max" }

// Position is the SQL function that returns the position of a text in another, or 0.
func (*DB) Position() string { return "instr" }

// ChangeHorizon is the position after the last committed change.
func (*DB) ChangeHorizon() string {
	return "1 + coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'app_changes'), 0)"
}

// ChangeEnd is ChangeHorizon: there is one writer.
func (db *DB) ChangeEnd() string { return db.ChangeHorizon() }

// ChangesKept is the number of positions since the pruned one, including those of deleted clients.
func (*DB) ChangesKept() string {
	return "coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'app_changes'), 0) + 1 - max(pruned_position, 1)"
}

// DatabaseID is empty: nothing in a copied file distinguishes it from the original. Backup therefore expires the cursors in its copies.
func (*DB) DatabaseID() string { return "''" }

// CheckRowLevelSecurity returns an error when row-level security is wanted: SQLite has none.
func (*DB) CheckRowLevelSecurity(_ context.Context, _ []string, wanted bool) error {
	if wanted {
		return errors.New("row security is PostgreSQL's")
	}
	return nil
}

// lockPollInterval is how often a server tries to get the lock while another one migrates.
const lockPollInterval = 20 * time.Millisecond

// LockMigrations takes the lock that lets one server migrate at a time, and returns the function that releases it. The lock is on a file
// beside the database: SQLite itself has no lock that outlives a transaction.
func (db *DB) LockMigrations(ctx context.Context) (unlock func() error, err error) {
	lock := flock.New(db.path + ".migrate.lock")
	if _, err := lock.TryLockContext(ctx, lockPollInterval); err != nil {
		return nil, err
	}
	return lock.Unlock, nil
}
