package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/singleflight"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"

	"github.com/clientapps/clientapps/store/groupcommit"
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
}

// Store is an open database. Its methods are safe for concurrent use.
type Store struct {
	db         dialect
	write      *gorm.DB
	read       *gorm.DB // the same as write on PostgreSQL
	ready      readiness
	clock      func() time.Time
	log        *slog.Logger
	catalog    atomic.Pointer[Catalog]
	loading    singleflight.Group // loads the catalog once for all who wait for it
	patches    *groupcommit.Group[AppKey, *appPatch]
	shares     *poolShares // of the connections that writes go through
	statements sync.Map    // shape of a patch -> *appStatement; "batch" -> string
	tokens     tokenMemory
	lookups    tokenLookups
	timeout    time.Duration
	lockWait   time.Duration // Config.LockTimeout
	maxConns   int
	tracer     trace.Tracer // nil: nothing is traced
	counts     counts
	byClient   bool
	rls        bool // by row security
	closed     atomic.Bool
	stop       context.CancelFunc
	stopped    chan struct{}
}

// dialect is what the two databases do differently.
type dialect interface {
	// open returns the pools for writing and for reading, and a pool of one connection for Ready, which so never waits for
	// other requests. They connect when they are first used.
	open(s *Store, cfg Config) (write, read *gorm.DB, ready *sql.DB, err error)
	// migrate brings the schema to the newest version, one server at a time.
	migrate(ctx context.Context, s *Store) error
	// provider returns the goose provider, which reads the version of the schema.
	provider(s *Store) (schemaProvider, error)
	// hasSchema is a query that reports whether goose's table exists.
	hasSchema() string
	// check returns an error when the database is not configured as asked for. It uses the connection for Ready.
	check(ctx context.Context, s *Store) error
	// writer returns the function that writes a batch of patches, and how many batches may be in flight.
	writer(s *Store) (write func([]*appPatch), atOnce int)
	// backend returns the backend of a connection.
	backend(conn *gorm.DB) backend
	// fence returns when a broken connection can no longer write, or an error.
	fence(ctx context.Context, s *Store, on backend) error
	// dropIdle closes idle connections, which are likely broken.
	dropIdle(s *Store)
	// takeApp reads one app, or fails with gorm.ErrRecordNotFound.
	takeApp(ctx context.Context, s *Store, key AppKey) (App, error)
	// findApps reads the apps of the client that q selects. It may set a non-nil total to the number of the client's apps.
	findApps(s *Store, client uuid.UUID, q *gorm.DB, apps *[]App, total *int64) error
	// greatest names the SQL function that returns the greatest of its arguments.
	greatest() string
	// position names the SQL function that returns the position of a text in another, or 0.
	position() string
	// keepTemporary runs work on one connection, where its temporary tables stay.
	keepTemporary(conn *gorm.DB, work func(conn *gorm.DB) error) error
	// useIndexes makes the transaction read by index, also in tables that it has just filled and that have no statistics.
	useIndexes(tx *gorm.DB) error
}

// Open opens the database that cfg.URL names. It neither connects to PostgreSQL nor migrates: see Migrate and Ready.
func Open(cfg Config) (*Store, error) {
	db, err := dialectOf(cfg.URL)
	if err != nil {
		return nil, err
	}
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
	cfg.BatchByClient = cfg.BatchByClient || cfg.RowSecurity // a transaction is confined to one client
	tokens, err := newTokenMemory(cfg.TokenTTL)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	s := &Store{
		db: db, clock: cfg.Clock, log: cfg.Logger, tokens: tokens, timeout: cfg.Timeout, lockWait: cfg.LockTimeout,
		maxConns: cfg.MaxConns,
		byClient: cfg.BatchByClient, rls: cfg.RowSecurity, stopped: make(chan struct{}),
	}
	if cfg.Traces != nil {
		s.tracer = cfg.Traces.Tracer("github.com/clientapps/clientapps/store")
	}
	if s.write, s.read, s.ready.pool, err = db.open(s, cfg); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	guard := newTenantGuard()
	if err = guard.register(s.write, s.read); err == nil && cfg.RowSecurity {
		err = guard.registerRLS(s.write)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open database: %w", err), s.closePools())
	}
	s.lookups.find = s.findTokens
	s.shares = newPoolShares(poolStats("", s.write).Max)
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.patches = newPatchGroup(s, cfg)
	go s.followCatalog(ctx, cfg.CatalogPoll)
	return s, nil
}

// CheckURL says whether a database URL is of a kind that Open takes.
func CheckURL(url string) error {
	_, err := dialectOf(url)
	return err
}

func dialectOf(url string) (dialect, error) {
	switch {
	case strings.HasPrefix(url, "sqlite://") && len(url) > len("sqlite://"):
		return sqliteDialect{path: strings.TrimPrefix(url, "sqlite://")}, nil
	case strings.HasPrefix(url, "postgres://"), strings.HasPrefix(url, "postgresql://"):
		return postgresDialect{}, nil
	}
	return nil, errors.New("database URL must be sqlite://PATH or postgres://…")
}

// Close ends the background work and closes the database. Statements after it fail with UnavailableError.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.stop()
	<-s.stopped
	s.patches.Close()
	return s.closePools()
}

func (s *Store) closePools() error {
	err := errors.Join(s.ready.pool.Close(), closePool(s.write))
	if s.read != s.write {
		err = errors.Join(err, closePool(s.read))
	}
	return err
}

func closePool(db *gorm.DB) error {
	pool, err := db.DB()
	if err != nil {
		return err
	}
	return pool.Close()
}

// now is the store's one clock: UTC, truncated to the milliseconds that both databases keep and the API shows.
func (s *Store) now() time.Time { return s.clock().UTC().Truncate(time.Millisecond) }

// notEarlier is the time of a write to a row that is there already, for its column updated_at: now, a time or what stands for
// it, unless the row has a later time. A statement may wait for the row, and clocks step back and differ between servers; the
// database compares when it has the row.
func (s *Store) notEarlier(now any) clause.Expr {
	return gorm.Expr(s.db.greatest()+"(?, updated_at)", now)
}

// later is notEarlier for a row that was read under the lock that it is written under.
func later(now, before time.Time) time.Time {
	if before.After(now) {
		return before
	}
	return now
}

// gormConfig opens no transaction around single statements and never logs: values are not for logs, and errors are the
// caller's to report.
func gormConfig(prepare bool) *gorm.Config {
	return &gorm.Config{SkipDefaultTransaction: true, PrepareStmt: prepare, Logger: logger.Discard}
}
