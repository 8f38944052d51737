package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"

	"github.com/gofrs/flock"
	"github.com/pressly/goose/v3"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
)

type sqliteDialect struct{ path string }

// Pragmas stand in the DSN because every pooled connection is an instance of its own. busy_timeout comes first: the
// others may have to wait. synchronous(FULL) puts every acknowledged write on the disk before it is acknowledged.
func (d sqliteDialect) dsn(more url.Values) string {
	q := url.Values{
		"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"},
		// Times are integers, so that they sort and compare as numbers.
		"_time_integer_format": {"unix_milli"},
		"_inttotime":           {"1"},
		"_timezone":            {"UTC"},
	}
	for k, v := range more {
		q[k] = append(q[k], v...)
	}
	return "file:" + (&url.URL{Path: d.path}).EscapedPath() + "?" + q.Encode()
}

// open gives SQLite its one writer and readers beside it.
func (d sqliteDialect) open(_ *Store, cfg Config) (write, read *gorm.DB, ready *sql.DB, err error) {
	if cfg.RowSecurity {
		return nil, nil, nil, errors.New("row security is PostgreSQL's")
	}
	if err := d.create(cfg.MustExist); err != nil {
		return nil, nil, nil, err
	}
	// Nothing is prepared on the writer: a statement prepared outside of a transaction would wait for the only connection
	// while a transaction that holds it waits for the statement, and one prepared inside ends with its transaction.
	write, err = d.pool(cfg, url.Values{"_txlock": {"immediate"}}, 1, false)
	if err != nil {
		return nil, nil, nil, err
	}
	readOnly := url.Values{"_pragma": {"query_only(1)"}}
	read, err = d.pool(cfg, readOnly, cfg.MaxConns, true)
	if err != nil {
		return nil, nil, nil, errors.Join(err, closePool(write))
	}
	ready, err = openSQLite(d.dsn(readOnly), nil)
	if err != nil {
		return nil, nil, nil, errors.Join(err, closePool(write), closePool(read))
	}
	ready.SetMaxOpenConns(1)
	return write, read, ready, nil
}

// create makes the file where there is none, for nobody else to read: there are hashes of tokens in it. SQLite gives the
// files beside it the same mode.
func (d sqliteDialect) create(mustExist bool) error {
	if mustExist {
		_, err := os.Stat(d.path)
		if errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("there is no database %s: run clientapps migrate up or clientapps serve, which make one", d.path)
		}
		return err
	}
	file, err := os.OpenFile(d.path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return file.Close()
}

func (d sqliteDialect) pool(cfg Config, more url.Values, conns int, prepare bool) (*gorm.DB, error) {
	pool, err := openSQLite(d.dsn(more), cfg.Traces)
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	db, err := gorm.Open(sqlite.New(sqlite.Config{Conn: pool}), gormConfig(prepare))
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return db, nil
}

// migrate holds a lock on a file beside the database: SQLite itself has no lock that outlives a transaction.
func (d sqliteDialect) migrate(ctx context.Context, s *Store) error {
	lock := flock.New(d.path + ".migrate.lock")
	if _, err := lock.TryLockContext(ctx, lockRetry); err != nil {
		return err
	}
	defer func() { _ = lock.Unlock() }()
	return up(ctx, s)
}

func (d sqliteDialect) provider(s *Store) (schemaProvider, error) {
	return newProvider(goose.DialectSQLite3, "migrations/sqlite", s.write)
}

func (sqliteDialect) hasSchema() string {
	return "SELECT count(*) > 0 FROM sqlite_master WHERE type = 'table' AND name = 'goose_db_version'"
}

func (sqliteDialect) check(context.Context, *Store) error { return nil }

func (sqliteDialect) writer(s *Store) (write func([]*appPatch), atOnce int) {
	return s.writeAppsSQLite, 1 // there is one connection to write with
}

// There are no connections to lose. A statement that ran out of time has ended when its connection is free again, and
// there is only one to write with.
func (sqliteDialect) backend(*gorm.DB) backend                     { return backend{} }
func (sqliteDialect) fence(context.Context, *Store, backend) error { return nil }
func (sqliteDialect) dropIdle(*Store)                              {}

func (sqliteDialect) greatest() string { return "max" }

func (sqliteDialect) position() string { return "instr" }

// keepTemporary needs no transaction, which would keep all other writers waiting.
func (sqliteDialect) keepTemporary(conn *gorm.DB, work func(conn *gorm.DB) error) error {
	return work(conn)
}

// useIndexes has nothing to do: SQLite prefers an index to reading a table.
func (sqliteDialect) useIndexes(*gorm.DB) error { return nil }
