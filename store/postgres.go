package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
)

type postgresDialect struct{}

func (postgresDialect) open(s *Store, cfg Config) (write, read *gorm.DB, ready *sql.DB, err error) {
	conn, err := pgx.ParseConfig(cfg.URL)
	if err != nil {
		return nil, nil, nil, errBadPostgresURL // the driver's text repeats the URL, password and all
	}
	if conn.ConnectTimeout == 0 {
		conn.ConnectTimeout = cfg.Timeout / 2 // for each host that the URL names
	}
	tracePostgres(conn, cfg.Traces)
	connector := stdlib.GetConnector(*conn, stdlib.OptionAfterConnect(prepareConn), stdlib.OptionShouldPing(shouldPing))
	bounded := txConnector{Connector: connector}
	if _, own := conn.RuntimeParams["lock_timeout"]; !own {
		bounded.lockTimeout = cfg.LockTimeout
	}
	pool := sql.OpenDB(bounded)
	pool.SetMaxOpenConns(cfg.MaxConns)
	// As many idle as open: the default of two would close and open a connection for nearly every request.
	pool.SetMaxIdleConns(cfg.MaxConns)
	// No PrepareStmt: pgx caches statements by itself. No ping: a server may start before its database.
	gcfg := gormConfig(false)
	gcfg.DisableAutomaticPing = true
	db, err := gorm.Open(postgres.New(postgres.Config{Conn: &readPool{DB: pool, retry: s.retry}}), gcfg)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("open PostgreSQL: %w", err)
	}
	ready = sql.OpenDB(bounded)
	ready.SetMaxOpenConns(1)
	return db, db, ready, nil
}

// pingTimeout is how long a connection that nobody has used may take to say that it is still there.
const pingTimeout = time.Second

// shouldPing reports whether a connection that is taken from the pool has to prove that it is alive. One that has lain idle has
// done so here, in less time than a request has: one behind a broken network never answers.
func shouldPing(ctx context.Context, p stdlib.ShouldPingParams) bool {
	if p.IdleDuration < time.Second {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	return p.Conn.Ping(ctx) != nil // closed by now, so that the ping which is due fails at once
}

// prepareConn makes a connection read times in UTC, for pgx takes the zone of the machine, and notes who serves it. It tells
// what an id is where nobody asks PostgreSQL for the types of parameters: behind a pooler with default_query_exec_mode=exec.
func prepareConn(ctx context.Context, conn *pgx.Conn) error {
	types := conn.TypeMap()
	types.RegisterType(&pgtype.Type{
		Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
	})
	types.RegisterDefaultPgType(uuid.UUID{}, "uuid")
	types.RegisterDefaultPgType(&uuid.UUID{}, "uuid")
	types.RegisterDefaultPgType([]uuid.UUID{}, "_uuid")
	return identifyBackend(ctx, conn)
}

// migrate runs under an advisory lock of PostgreSQL.
func (postgresDialect) migrate(ctx context.Context, s *Store) error { return up(ctx, s) }

func (postgresDialect) provider(s *Store) (schemaProvider, error) {
	return newProvider(goose.DialectPostgres, "migrations/postgres", s.write, goose.WithLocker(&migrationLock{}))
}

func (postgresDialect) hasSchema() string {
	return "SELECT to_regclass('goose_db_version') IS NOT NULL"
}

func (postgresDialect) check(ctx context.Context, s *Store) error { return s.checkRowSecurity(ctx) }

func (postgresDialect) writer(s *Store) (write func([]*appPatch), atOnce int) {
	return s.writeAppsPostgres, maxWriters
}

func (postgresDialect) greatest() string { return "greatest" }

func (postgresDialect) position() string { return "strpos" }

// useIndexes is needed because the planner knows no better of a table that nobody has analyzed, or remembers how small it
// was: it would read the whole of it for each batch of rows.
func (postgresDialect) useIndexes(tx *gorm.DB) error {
	return tx.Exec("SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off").Error
}

// keepTemporary runs work in one transaction: behind a pooler the next one may be on another connection, and what the first
// has left would be somebody else's.
func (postgresDialect) keepTemporary(conn *gorm.DB, work func(conn *gorm.DB) error) error {
	return conn.Transaction(work)
}
