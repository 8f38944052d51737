// Package store keeps clients, their apps, the shared catalog and the API tokens in SQLite or PostgreSQL.
//
// Every method takes a context and a key that names the client; there is no lookup by a bare id. Both databases answer
// alike: names are compared by a case-folded key computed in Go, ids are ordered bytewise, times are UTC milliseconds
// from the store's one clock. An error that a caller can act on is one of those in errors.go; any other error
// is a fault of the database or of this package.
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
	"github.com/maypok86/otter/v2"
	"github.com/pressly/goose/v3"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/singleflight"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/clientapps/clientapps/store/catalogcache"
	"github.com/clientapps/clientapps/store/changefeed"
	"github.com/clientapps/clientapps/store/connlimit"
	"github.com/clientapps/clientapps/store/groupcommit"
	"github.com/clientapps/clientapps/store/migrations"
	"github.com/clientapps/clientapps/store/postgres"
	"github.com/clientapps/clientapps/store/sqlite"
	"github.com/clientapps/clientapps/store/tenant"
	"github.com/clientapps/clientapps/store/tokencache"
	"github.com/clientapps/clientapps/store/tokenusage"
)

// Config says which database to open and how. The zero value of every field but URL has a usable default.
type Config struct {
	URL                 string           // sqlite://PATH or postgres://…
	MustExist           bool             // a missing SQLite database is an error; by default it is created
	MaxConns            int              // connections to PostgreSQL; readers of SQLite. Default 16
	CatalogPollInterval time.Duration    // between checks for catalog changes of other servers. Default 2 s
	Timeout             time.Duration    // bounds database work that has no caller deadline. Default 5 s
	LockTimeout         time.Duration    // how long a write waits for each lock of PostgreSQL. Default half of Timeout
	TokenCacheTTL       time.Duration    // how long a token is cached, and so how long a revoked one is still accepted. Default 10 s
	TokenUsageInterval  time.Duration    // between writes of when tokens were last used. Default 10 s
	Clock               func() time.Time // default time.Now

	// BatchByClient sends a statement for each patch and each read, still many in one round trip, instead of one statement for all of
	// them. A PostgreSQL that is distributed by client always gets a statement for each, in a transaction of its own; there it only
	// allows more round trips at once.
	BatchByClient bool

	// RowLevelSecurity uses PostgreSQL's row-level security, with the policies of deploy/rls.sql, to limit each request to its client.
	// It implies BatchByClient.
	RowLevelSecurity bool

	Logger *slog.Logger // logs background work. Default: none

	Traces trace.TracerProvider // gets the spans of statements; may be nil

	OnStatement func(statement string) // called with each statement; for tests, may be nil
}

// Store is an open database. Its methods are safe for concurrent use.
type Store struct {
	db                database
	apps              appTable
	writer            *gorm.DB
	reader            *gorm.DB           // the same as writer on PostgreSQL
	readyChecks       singleflight.Group // callers of Ready share one check
	clock             func() time.Time
	log               *slog.Logger
	catalog           *catalogcache.Cache[Catalog]
	patches           *groupcommit.Group[AppKey, *appPatch]
	shares            *connlimit.Shares[shareKey] // of the connections that writes go through
	tokens            *tokencache.Cache[Token]
	usage             *tokenusage.Usage // of tokens
	timeout           time.Duration
	lockTimeout       time.Duration // Config.LockTimeout
	tracer            trace.Tracer  // nil: nothing is traced
	lockTimeoutCounts lockTimeoutCounts
	byClient          bool
	rls               bool // Config.RowLevelSecurity
	closed            atomic.Bool
	deleting          deletions
	changes           *changefeed.Hub[AppChange]
	changeNonce       atomic.Value // of the positions that changes has; a string
	changeLag         changefeed.Lag
	changesSent       atomic.Uint64
	appChangeCounts   *otter.Cache[AppKey, appChangeCount] // of apps with a long history
	changesKept       atomic.Int64
	webhookCounts     webhookCounts

	bulkStatements sync.Map // text by bulkShape

	stop       context.CancelFunc
	background sync.WaitGroup // goroutines that stop ends
}

// database is what the two databases do differently. Each owns its pools; they connect when they are first used.
type database interface {
	Writer() *gorm.DB
	Reader() *gorm.DB // the same as Writer on PostgreSQL
	Ready() *sql.DB   // one connection, for Ready
	Close() error

	// SharedLock is a statement that takes an advisory lock for a transaction that is bound to a client, with its parameters. It is
	// empty where no locks are needed.
	SharedLock(key string, client uuid.UUID) (sql string, args []any)
	// Distributed reports whether the database is distributed over several machines. It is false before the first connection.
	Distributed() bool
	// DropIdle closes idle connections, which are likely broken.
	DropIdle()
	// Fence returns a function that waits until a connection, which has broken, can no longer write, or returns an error.
	Fence(conn *gorm.DB) func(ctx context.Context) error
	// AwaitWriters returns when the transactions that now write to one of the tables have ended.
	AwaitWriters(ctx context.Context, tables ...string) error

	Dialect() goose.Dialect
	// HasSchema is a query that reports whether goose's table exists.
	HasSchema() string
	// LockMigrations lets one server migrate at a time.
	LockMigrations(ctx context.Context) (unlock func() error, err error)
	// CheckRowLevelSecurity returns an error unless row-level security holds exactly when it is asked for.
	CheckRowLevelSecurity(ctx context.Context, tables []string, asked bool) error

	// Greatest and Position name SQL functions: the greatest argument, and the position of a text in another, or 0.
	Greatest() string
	Position() string

	// ChangeHorizon is an expression: each change before this position is committed, and each that commits later is behind it.
	ChangeHorizon() string
	// ChangeEnd is an expression: no change has this position yet, or a later one.
	ChangeEnd() string
	// ChangesKept is an expression: about how many changes are kept. It takes no longer when there are more.
	ChangesKept() string
	// DatabaseID is an expression that tells this database from the one that it was restored from, and from the one it took over from.
	DatabaseID() string
}

// Open opens the database that cfg.URL names. It neither connects to PostgreSQL nor migrates: see Migrate and Ready.
func Open(cfg Config) (*Store, error) {
	cfg.setDefaults()
	s := &Store{
		clock: cfg.Clock, log: cfg.Logger, timeout: cfg.Timeout, lockTimeout: cfg.LockTimeout,
		byClient: cfg.BatchByClient, rls: cfg.RowLevelSecurity,
	}
	if cfg.Traces != nil {
		s.tracer = cfg.Traces.Tracer("github.com/clientapps/clientapps/store")
	}
	s.changes = changefeed.NewHub[AppChange](changeHubSize)
	s.usage = tokenusage.New(s.writeUsage)
	s.appChangeCounts = otter.Must(&otter.Options[AppKey, appChangeCount]{MaximumSize: maxCachedCounts})
	var err error
	if s.tokens, err = tokencache.New(cfg.TokenCacheTTL, s.findTokens); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := s.open(cfg); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := s.registerGuard(); err != nil {
		return nil, errors.Join(fmt.Errorf("open database: %w", err), s.db.Close())
	}
	s.shares = connlimit.New[shareKey](poolStats("", s.writer).Max)
	s.catalog = s.newCatalogCache()
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.patches = newPatchGroup(s, cfg)
	s.background.Go(func() { s.catalog.Follow(ctx, cfg.CatalogPollInterval, s.timeout) })
	s.background.Go(func() { s.usage.Run(ctx, cfg.TokenUsageInterval) })
	s.background.Go(func() { s.pollDeletions(ctx) })
	s.background.Go(func() { s.readForStreams(ctx, 5*cfg.CatalogPollInterval) })
	return s, nil
}

func (cfg *Config) setDefaults() {
	if cfg.MaxConns <= 0 {
		cfg.MaxConns = 16
	}
	if cfg.CatalogPollInterval <= 0 {
		cfg.CatalogPollInterval = 2 * time.Second
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 5 * time.Second
	}
	if cfg.LockTimeout <= 0 {
		cfg.LockTimeout = cfg.Timeout / 2 // so that PostgreSQL refuses a write before its caller gives it up
	}
	if cfg.TokenCacheTTL <= 0 {
		cfg.TokenCacheTTL = 10 * time.Second
	}
	if cfg.TokenUsageInterval <= 0 {
		cfg.TokenUsageInterval = 10 * time.Second
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.BatchByClient = cfg.BatchByClient || cfg.RowLevelSecurity // a statement sees the rows of one client
}

// open opens the database that the URL names.
func (s *Store) open(cfg Config) error {
	path, isSQLite, err := parseURL(cfg.URL)
	switch {
	case err != nil:
		return err
	case !isSQLite:
		db, err := postgres.Open(postgres.Config{
			URL: cfg.URL, MaxConns: cfg.MaxConns, Timeout: cfg.Timeout, LockTimeout: cfg.LockTimeout,
			Traces: cfg.Traces, OnStatement: cfg.OnStatement, Gorm: gormConfig(), Retry: s.retryRead,
		})
		if err != nil {
			return err
		}
		s.db, s.apps = db, newPostgresApps(s, db, cfg)
	case cfg.RowLevelSecurity:
		return errors.New("row security is PostgreSQL's")
	default:
		db, err := sqlite.Open(sqlite.Config{
			Path: path, MustExist: cfg.MustExist, MaxConns: cfg.MaxConns,
			Traces: cfg.Traces, OnStatement: cfg.OnStatement, Gorm: gormConfig,
		})
		if err != nil {
			return err
		}
		s.db, s.apps = db, newSQLiteApps(s, db)
	}
	s.writer, s.reader = s.db.Writer(), s.db.Reader()
	return nil
}

// CheckURL returns an error unless Open takes database URLs of this kind.
func CheckURL(url string) error {
	_, _, err := parseURL(url)
	return err
}

// parseURL tells the kind of a database, and the path of an SQLite file.
func parseURL(url string) (path string, isSQLite bool, err error) {
	path, isSQLite = strings.CutPrefix(url, "sqlite://")
	switch {
	case isSQLite && path != "":
		return path, true, nil
	case strings.HasPrefix(url, "postgres://"), strings.HasPrefix(url, "postgresql://"):
		return "", false, nil
	}
	return "", false, errors.New("database URL must be sqlite://PATH or postgres://…")
}

// ErrNoBackup is returned for PostgreSQL, which has its own tools for backups.
var ErrNoBackup = errors.New("only an SQLite database is backed up here; PostgreSQL has pg_dump")

// Backup copies the SQLite database that the URL names to a file, as sqlite.Backup does. ErrNoBackup on PostgreSQL.
func Backup(ctx context.Context, url, file string) error {
	path, isSQLite, err := parseURL(url)
	switch {
	case err != nil:
		return err
	case !isSQLite:
		return ErrNoBackup
	}
	if err := sqlite.Backup(ctx, path, file); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return nil
}

// schema is the schema of this database.
func (s *Store) schema() (*migrations.Database, error) {
	pool, err := s.writer.DB()
	return &migrations.Database{
		Dialect: s.db.Dialect(), Writer: pool, Reader: s.db.Ready(), HasSchema: s.db.HasSchema(),
		Lock: s.db.LockMigrations, LockTimeout: postgres.LockTimeout,
	}, err
}

// Migrate brings the schema to the version that this program needs. Many servers may call it at once.
func (s *Store) Migrate(ctx context.Context) error {
	schema, err := s.schema()
	if err == nil {
		err = schema.Up(ctx)
	}
	return s.translate("migrate", err)
}

// SchemaVersion returns the version that the database has, 0 without a schema, and the one that this program needs.
func (s *Store) SchemaVersion(ctx context.Context) (have, want int64, err error) {
	err = s.retry(ctx, func() error {
		schema, err := s.schema()
		if err == nil {
			have, want, err = schema.Versions(ctx)
		}
		return err
	})
	return have, want, s.translate("read schema version", err)
}

// Ready returns nil when the database answers and its schema is at least the one that this program needs, and it has
// row security just when that is asked for. A newer schema has been expanded for a newer program, which runs beside this one
// for the length of a rollout: see docs/rollout.md.
//
// It does not wait behind requests: it has a connection of its own, and callers at the same moment share one check, which
// has the deadline of the first of them.
func (s *Store) Ready(ctx context.Context) error {
	checked := s.readyChecks.DoChan("", func() (any, error) { return nil, s.checkReady(ctx) })
	select {
	case result := <-checked:
		return result.Err
	case <-ctx.Done():
		return s.translate("check the database", ctx.Err())
	}
}

// checkReady does not end when the first caller hangs up: others may wait for the result.
func (s *Store) checkReady(ctx context.Context) error {
	bounded, cancel := s.bounded(context.WithoutCancel(ctx))
	if deadline, ok := ctx.Deadline(); ok {
		cancel()
		bounded, cancel = context.WithDeadline(context.WithoutCancel(ctx), deadline)
	}
	defer cancel()
	return s.translate("check the database", s.retry(bounded, func() error {
		schema, err := s.schema()
		if err != nil {
			return err
		}
		have, want, err := schema.Versions(bounded)
		if err != nil {
			return err
		}
		if have < want {
			return fmt.Errorf("the schema has version %d, this program needs %d: run clientapps migrate up", have, want)
		}
		return s.db.CheckRowLevelSecurity(bounded, tablesWithPolicy, s.rls)
	}))
}

// Close ends the background work, writes when tokens were last used, for at most the store's timeout, and closes the database.
// Statements after it fail with UnavailableError.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.stop()
	s.background.Wait()
	s.patches.Close()
	s.apps.close()
	_ = s.usage.Flush(context.Background()) // if the database cannot be reached, this is lost
	return s.db.Close()
}

// tenantGuard covers the tables that hold data of clients: all that have a client_id.
var (
	tenantTables = []string{"apps", "app_changes", "client_app_counts", "token_clients", "webhooks"}
	tenantGuard  = tenant.NewGuard(tenantTables...)
)

// tablesWithPolicy are the tables with a policy. Which clients a token covers is asked before there is a client, and a
// webhook may follow all clients.
var tablesWithPolicy = []string{"apps", "app_changes", "client_app_counts"}

func (s *Store) registerGuard() error {
	err := tenantGuard.Register(s.writer)
	if s.reader != s.writer {
		err = errors.Join(err, tenantGuard.Register(s.reader))
	}
	if s.rls {
		err = errors.Join(err, tenantGuard.RegisterRowLevelSecurity(s.writer, s.db.Distributed))
	}
	return err
}

// tenant returns the handle for reading the rows of one client.
func (s *Store) tenant(ctx context.Context, client uuid.UUID) *gorm.DB {
	return tenant.Of(s.reader.WithContext(ctx), client)
}

// now is the store's one clock: UTC, truncated to the milliseconds that both databases keep and the API shows.
func (s *Store) now() time.Time { return s.clock().UTC().Truncate(time.Millisecond) }

// gormConfig opens no transaction around single statements and never logs: values are not for logs, and errors are the
// caller's to report. Nothing is prepared: pgx caches statements by itself.
func gormConfig() *gorm.Config {
	return &gorm.Config{SkipDefaultTransaction: true, Logger: logger.Discard}
}

// Stats describes an open store for its operator: the state at this moment, and counters since Open.
type Stats struct {
	Pools    []PoolStats
	Catalog  CatalogStats
	Tokens   TokenStats
	Patches  BatchStats // patches of apps that share transactions
	Reads    BatchStats // reads of single apps that share statements; zero on SQLite
	Shares   ShareStats
	Changes  ChangeStats
	Webhooks WebhookStats

	// LockTimeouts counts lock timeouts by the kind of write that waited.
	LockTimeouts map[string]uint64
}

// PoolStats describes one pool of database connections.
type PoolStats struct {
	Name    string // write and read on SQLite, shared on PostgreSQL
	Max     int    // connections at most
	InUse   int
	Idle    int
	Waits   int64         // how often a statement had to wait for a connection
	Waiting time.Duration // for how long, altogether
}

// CatalogStats describes the snapshot of the catalog. Apps and Revision are zero until the catalog is first read.
type CatalogStats struct {
	catalogcache.Stats

	Apps     int
	Revision int64
}

// TokenStats describes the cache of tokens.
type TokenStats = tokencache.Stats

// BatchStats describes what shares transactions or statements.
type BatchStats = groupcommit.Stats

// ShareStats describes the writes that wait for their client's share of the connections.
type ShareStats = connlimit.Stats

// ChangeStats describes the change feed.
type ChangeStats struct {
	Streams int           // that follow it on this server
	Sent    uint64        // changes that streams have got
	Lag     time.Duration // for how long an open transaction has held it up, when that was last checked
	Kept    int64         // about how many changes are kept, when that was last checked
}

// Stats returns the statistics. It sends no statement to the database.
func (s *Store) Stats() Stats {
	stats := Stats{
		Catalog: CatalogStats{Stats: s.catalog.Stats()}, Tokens: s.tokens.Stats(), Patches: s.patches.Stats(), Reads: s.apps.readStats(), Shares: s.shares.Stats(),
		Changes:      ChangeStats{Streams: s.changes.Followers(), Sent: s.changesSent.Load(), Lag: s.changeLag.At(s.now()), Kept: s.changesKept.Load()},
		Webhooks:     s.webhookCounts.stats(s.now()),
		LockTimeouts: s.lockTimeoutCounts.stats(),
	}
	if c := s.catalog.Current(); c != nil {
		stats.Catalog.Apps, stats.Catalog.Revision = len(c.all()), c.revision
	}
	if s.reader == s.writer {
		stats.Pools = []PoolStats{poolStats("shared", s.writer)}
	} else {
		stats.Pools = []PoolStats{poolStats("write", s.writer), poolStats("read", s.reader)}
	}
	return stats
}

func poolStats(name string, g *gorm.DB) PoolStats {
	var stats sql.DBStats
	if pool, err := g.DB(); err == nil { // it always has one
		stats = pool.Stats()
	}
	return PoolStats{
		Name: name, Max: stats.MaxOpenConnections, InUse: stats.InUse, Idle: stats.Idle,
		Waits: stats.WaitCount, Waiting: stats.WaitDuration,
	}
}
