package store

import (
	"context"
	"embed"
	"errors"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
	"gorm.io/gorm"
)

//go:embed migrations/postgres/*.sql migrations/sqlite/*.sql
var migrations embed.FS

// lockRetry is how often a server that waits for another one's migration looks again.
const lockRetry = 20 * time.Millisecond

// migrationPause is how long requests have a table for themselves before a migration asks for it again. While it waits for
// those who have the table, everybody else waits behind it: so it waits for no longer than the lock_timeout that it sets, a
// second, and then begins anew.
const migrationPause = time.Second

var errBadPostgresURL = errors.New("the PostgreSQL URL cannot be parsed")

// schemaProvider is the part of goose.Provider that the store uses.
type schemaProvider interface {
	Up(ctx context.Context) ([]*goose.MigrationResult, error)
	GetVersions(ctx context.Context) (current, target int64, err error)
	ListSources() []*goose.Source // in the order of their versions
}

func newProvider(dialect goose.Dialect, dir string, db *gorm.DB, opts ...goose.ProviderOption) (schemaProvider, error) {
	pool, err := db.DB()
	if err != nil {
		return nil, err
	}
	files, err := fs.Sub(migrations, dir)
	if err != nil {
		return nil, err
	}
	opts = append(opts, goose.WithDisableGlobalRegistry(true), goose.WithGoMigrations(foldMigration(dialect)))
	return goose.NewProvider(dialect, pool, files, opts...)
}

// Migrate brings the schema to the version that this program needs. Many servers may call it at once.
func (s *Store) Migrate(ctx context.Context) error {
	return s.translate("migrate", s.db.migrate(ctx, s))
}

func up(ctx context.Context, s *Store) error {
	p, err := s.db.provider(s)
	if err != nil {
		return err
	}
	for {
		if _, err = p.Up(ctx); !lockTimeout(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(migrationPause):
		}
	}
}

// SchemaVersion returns the version that the database has and the one that this program needs.
func (s *Store) SchemaVersion(ctx context.Context) (have, want int64, err error) {
	err = s.retry(ctx, func() error {
		p, err := s.db.provider(s)
		if err == nil {
			have, want, err = p.GetVersions(ctx)
		}
		return err
	})
	return have, want, s.translate("read schema version", err)
}
