package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
)

type postgresDialect struct{}

func (postgresDialect) open(cfg Config) (write, read *gorm.DB, err error) {
	conn, err := pgx.ParseConfig(cfg.URL)
	if err != nil {
		return nil, nil, errBadPostgresURL // the driver's text repeats the URL, password and all
	}
	pool := stdlib.OpenDB(*conn, stdlib.OptionAfterConnect(timesInUTC))
	pool.SetMaxOpenConns(cfg.MaxConns)
	// As many idle as open: the default of two would close and open a connection for nearly every request.
	pool.SetMaxIdleConns(cfg.MaxConns)
	// No PrepareStmt: pgx caches statements by itself. No ping: a server may start before its database.
	gcfg := gormConfig(false)
	gcfg.DisableAutomaticPing = true
	db, err := gorm.Open(postgres.New(postgres.Config{Conn: pool}), gcfg)
	if err != nil {
		return nil, nil, fmt.Errorf("open PostgreSQL: %w", err)
	}
	return db, db, nil
}

// timesInUTC makes a connection read times in UTC: pgx takes the zone of the machine.
func timesInUTC(_ context.Context, conn *pgx.Conn) error {
	conn.TypeMap().RegisterType(&pgtype.Type{
		Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
	})
	return nil
}

// migrate runs under an advisory lock of PostgreSQL, taken by goose.
func (postgresDialect) migrate(ctx context.Context, s *Store) error { return up(ctx, s) }

func (postgresDialect) provider(s *Store) (schemaProvider, error) {
	// A second between tries, for five minutes: the slowest migration that a starting server waits for.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300))
	if err != nil {
		return nil, err
	}
	return newProvider(goose.DialectPostgres, "migrations/postgres", s.write, goose.WithSessionLocker(locker))
}

func (postgresDialect) writer(s *Store) func([]*appPatch) { return s.writeAppsPostgres }

func (postgresDialect) position() string { return "strpos" }

// useIndexes is needed because the planner knows no better of a table that nobody has analyzed, or remembers how small it
// was: it would read the whole of it for each batch of rows.
func (postgresDialect) useIndexes(tx *gorm.DB) error {
	return tx.Exec("SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off").Error
}
