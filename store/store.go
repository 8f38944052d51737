package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/pressly/goose/v3"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/singleflight"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"

	"github.com/clientapps/clientapps/store/groupcommit"
	"github.com/clientapps/clientapps/store/postgres"
	"github.com/clientapps/clientapps/store/sqlite"
	"github.com/clientapps/clientapps/store/tenant"
)

// Config says which database to open and how. The zero value of every field but URL has a usable default.
type Config struct {
	URL         string           // sqlite://PATH or postgres://…
	MustExist   bool             // a missing SQLite database is an error; by default it is created
	MaxConns    int              // connections to PostgreSQL; readers of SQLite. Default 16
	CatalogPoll time.Duration    // interval between looks for catalog changes of other servers. Default 2 s
	Timeout     time.Duration    // bounds database work that has no caller deadline. Default 5 s
	LockTimeout time.Duration    // how long a write waits for each lock of PostgreSQL. Default half of Timeout
	TokenTTL    time.Duration    // how long a token is cached, and so how long a revoked one is still accepted. Default 10 s
	Clock       func() time.Time // default time.Now

	// BatchByClient gives patches of different clients separate transactions. Set it for a PostgreSQL that is distributed by
	// client, where a shared transaction would span machines.
	BatchByClient bool

	// RowSecurity uses PostgreSQL's row-level security, with the policies of deploy/rls.sql, to limit each request to its client.
	// It implies BatchByClient.
	RowSecurity bool

	Logger *slog.Logger // logs background work. Default: none

	Traces trace.TracerProvider // receives the spans of statements; nil for none

	OnStatement func(statement string) // told each statement, for tests; nil for nobody
}

// Store is an open database. Its methods are safe for concurrent use.
type Store struct {
	db       database
	apps     appTable
	write    *gorm.DB
	read     *gorm.DB // the same as write on PostgreSQL
	ready    readiness
	clock    func() time.Time
	log      *slog.Logger
	catalog  atomic.Pointer[Catalog]
	loading  singleflight.Group // loads the catalog once for all who wait for it
	patches  *groupcommit.Group[AppKey, *appPatch]
	shares   *poolShares // of the connections that writes go through
	tokens   tokenMemory
	lookups  tokenLookups
	timeout  time.Duration
	lockWait time.Duration // Config.LockTimeout
	tracer   trace.Tracer  // nil: nothing is traced
	counts   counts
	byClient bool
	rls      bool // by row security
	closed   atomic.Bool
	stop     context.CancelFunc
	stopped  chan struct{}
}

// database is what the two databases do differently. Each owns its pools; they connect when they are first used.
type database interface {
	Writer() *gorm.DB
	Reader() *gorm.DB // the same as Writer on PostgreSQL
	Ready() *sql.DB   // one connection, for Ready
	Close() error

	// DropIdle closes idle connections, which are likely broken.
	DropIdle()
	// Fence returns a function that returns when a connection, which has broken, can no longer write, or an error.
	Fence(conn *gorm.DB) func(ctx context.Context) error

	Dialect() goose.Dialect
	// HasSchema is a query that reports whether goose's table exists.
	HasSchema() string
	// LockMigrations lets one server migrate at a time.
	LockMigrations(ctx context.Context) (unlock func() error, err error)
	// CheckRowSecurity returns an error unless row-level security holds exactly when it is asked for.
	CheckRowSecurity(ctx context.Context, tables []string, asked bool) error

	// Greatest and Position name SQL functions: the greatest argument, and the position of a text in another, or 0.
	Greatest() string
	Position() string
}

// Open opens the database that cfg.URL names. It neither connects to PostgreSQL nor migrates: see Migrate and Ready.
func Open(cfg Config) (*Store, error) {
	cfg.setDefaults()
	tokens, err := newTokenMemory(cfg.TokenTTL)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	s := &Store{
		clock: cfg.Clock, log: cfg.Logger, tokens: tokens, timeout: cfg.Timeout, lockWait: cfg.LockTimeout,
		byClient: cfg.BatchByClient, rls: cfg.RowSecurity, stopped: make(chan struct{}),
	}
	if cfg.Traces != nil {
		s.tracer = cfg.Traces.Tracer("github.com/clientapps/clientapps/store")
	}
	if err := s.open(cfg); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := s.registerGuard(); err != nil {
		return nil, errors.Join(fmt.Errorf("open database: %w", err), s.db.Close())
	}
	s.lookups.find = s.findTokens
	s.shares = newPoolShares(poolStats("", s.write).Max)
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.patches = newPatchGroup(s, cfg)
	go s.followCatalog(ctx, cfg.CatalogPoll)
	return s, nil
}

func (cfg *Config) setDefaults() {
	if cfg.MaxConns <= 0 {
		cfg.MaxConns = 16
	}
	if cfg.CatalogPoll <= 0 {
		cfg.CatalogPoll = 2 * time.Second
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 5 * time.Second
	}
	if cfg.LockTimeout <= 0 {
		cfg.LockTimeout = cfg.Timeout / 2 // so that PostgreSQL refuses a write before its caller gives it up
	}
	if cfg.TokenTTL <= 0 {
		cfg.TokenTTL = 10 * time.Second
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.BatchByClient = cfg.BatchByClient || cfg.RowSecurity // a transaction is limited to one client
}

// open opens the database that the URL names.
func (s *Store) open(cfg Config) error {
	path, ofSQLite, err := parseURL(cfg.URL)
	switch {
	case err != nil:
		return err
	case !ofSQLite:
		db, err := postgres.Open(postgres.Config{
			URL: cfg.URL, MaxConns: cfg.MaxConns, Timeout: cfg.Timeout, LockTimeout: cfg.LockTimeout,
			Traces: cfg.Traces, OnStatement: cfg.OnStatement, Gorm: gormConfig(), Retry: s.retry,
		})
		if err != nil {
			return err
		}
		s.db, s.apps = db, newPostgresApps(s, db)
	case cfg.RowSecurity:
		return errors.New("row security is PostgreSQL's")
	default:
		db, err := sqlite.Open(sqlite.Config{
			Path: path, MustExist: cfg.MustExist, MaxConns: cfg.MaxConns,
			Traces: cfg.Traces, OnStatement: cfg.OnStatement, Gorm: gormConfig,
		})
		if err != nil {
			return err
		}
		s.db, s.apps = db, &sqliteApps{s}
	}
	s.write, s.read = s.db.Writer(), s.db.Reader()
	return nil
}

// CheckURL says whether a database URL is of a kind that Open takes.
func CheckURL(url string) error {
	_, _, err := parseURL(url)
	return err
}

// parseURL tells the kind of a database, and the path of an SQLite file.
func parseURL(url string) (path string, ofSQLite bool, err error) {
	path, ofSQLite = strings.CutPrefix(url, "sqlite://")
	switch {
	case ofSQLite && path != "":
		return path, true, nil
	case strings.HasPrefix(url, "postgres://"), strings.HasPrefix(url, "postgresql://"):
		return "", false, nil
	}
	return "", false, errors.New("database URL must be sqlite://PATH or postgres://…")
}

// ErrNoBackup says that this database has tools of its own for backups.
var ErrNoBackup = errors.New("only an SQLite database is backed up here; PostgreSQL has pg_dump")

// Backup copies the SQLite database that the URL names to a file, as sqlite.Backup does. ErrNoBackup on PostgreSQL.
func Backup(ctx context.Context, url, file string) error {
	path, ofSQLite, err := parseURL(url)
	switch {
	case err != nil:
		return err
	case !ofSQLite:
		return ErrNoBackup
	}
	if err := sqlite.Backup(ctx, path, file); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return nil
}

// Close ends the background work and closes the database. Statements after it fail with UnavailableError.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.stop()
	<-s.stopped
	s.patches.Close()
	return s.db.Close()
}

// tenantGuard covers the tables that hold data of clients: all that have a client_id.
var (
	perClient   = []string{"apps", "app_changes", "client_app_counts", "token_clients"}
	tenantGuard = tenant.NewGuard(perClient...)
)

// tablesWithPolicy are the tables with a policy. Which clients a token covers is asked before there is a client.
var tablesWithPolicy = []string{"apps", "app_changes", "client_app_counts"}

func (s *Store) registerGuard() error {
	err := tenantGuard.Register(s.write)
	if s.read != s.write {
		err = errors.Join(err, tenantGuard.Register(s.read))
	}
	if s.rls {
		err = errors.Join(err, tenantGuard.RegisterRowSecurity(s.write))
	}
	return err
}

// tenant returns the handle for reading the rows of one client.
func (s *Store) tenant(ctx context.Context, client uuid.UUID) *gorm.DB {
	return tenant.Of(s.read.WithContext(ctx), client)
}

// now is the store's one clock: UTC, truncated to the milliseconds that both databases keep and the API shows.
func (s *Store) now() time.Time { return s.clock().UTC().Truncate(time.Millisecond) }

// notEarlier is the time of a write to a row that is there already, for its column updated_at: now, a time or what stands for
// it, unless the row has a later time. A statement may wait for the row, and clocks step back and differ between servers; the
// database compares when it has the row.
func (s *Store) notEarlier(now any) clause.Expr {
	return gorm.Expr(s.db.Greatest()+"(?, updated_at)", now)
}

// later is notEarlier for a row that was read under the lock that it is written under.
func later(now, before time.Time) time.Time {
	if before.After(now) {
		return before
	}
	return now
}

// gormConfig opens no transaction around single statements and never logs: values are not for logs, and errors are the
// caller's to report. Nothing is prepared: pgx caches statements by itself.
func gormConfig() *gorm.Config {
	return &gorm.Config{SkipDefaultTransaction: true, Logger: logger.Discard}
}
