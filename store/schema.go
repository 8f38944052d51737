package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/clientapps/clientapps/store/migrations"
	"github.com/clientapps/clientapps/store/postgres"
	"github.com/clientapps/clientapps/store/retry"
)

// migrationRetry is the pause before a migration tries again to lock a table. While it waits for the lock, all requests for the table
// wait behind it. So it waits for at most the lock_timeout that it sets, one second, and then pauses.
var migrationRetry = retry.Policy{Pause: time.Second}

func (s *Store) migrations() (*goose.Provider, error) {
	pool, err := s.writer.DB()
	if err != nil {
		return nil, err
	}
	return migrations.New(s.db.Dialect(), pool)
}

// Migrate brings the schema to the version that this program needs. Many servers may call it at once.
func (s *Store) Migrate(ctx context.Context) error {
	return s.translate("migrate", s.migrate(ctx))
}

func (s *Store) migrate(ctx context.Context) (err error) {
	p, err := s.migrations()
	if err != nil {
		return err
	}
	want, err := s.requiredSchemaVersion()
	if err != nil {
		return err
	}
	if have, err := s.currentSchemaVersion(ctx); err != nil || have >= want {
		return err // without waiting for a server that is migrating to a newer version
	}
	unlock, err := s.db.LockMigrations(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	return migrationRetry.Do(ctx, func() (retryable bool, err error) {
		_, err = p.Up(ctx)
		return postgres.LockTimeout(err), err
	})
}

// SchemaVersion returns the version that the database has and the one that this program needs.
func (s *Store) SchemaVersion(ctx context.Context) (have, want int64, err error) {
	err = s.retry(ctx, func() error {
		p, err := s.migrations()
		if err == nil {
			have, want, err = p.GetVersions(ctx)
		}
		return err
	})
	return have, want, s.translate("read schema version", err)
}

// readiness is the check of Ready that is under way.
type readiness struct {
	mu    sync.Mutex
	check *readyCheck // nil: none is under way
}

type readyCheck struct {
	done chan struct{} // closed when err is set
	err  error
}

// Ready returns nil when the database answers and its schema is at least the one that this program needs, and it has
// row security just when that is asked for. A newer schema has been expanded for a newer program, which runs beside this one
// for the length of a rollout: see docs/rollout.md.
//
// It does not wait behind requests: it has a connection of its own, and callers at the same moment share one check, which
// has the deadline of the first of them.
func (s *Store) Ready(ctx context.Context) error {
	s.ready.mu.Lock()
	check := s.ready.check
	if check == nil {
		check = &readyCheck{done: make(chan struct{})}
		s.ready.check = check
		go s.checkReady(ctx, check)
	}
	s.ready.mu.Unlock()
	select {
	case <-check.done:
		return check.err
	case <-ctx.Done():
		return s.translate("check the database", ctx.Err())
	}
}

// checkReady does not end when the first caller hangs up: others may wait for the result.
func (s *Store) checkReady(ctx context.Context, check *readyCheck) {
	bounded, cancel := s.bounded(context.WithoutCancel(ctx))
	if deadline, ok := ctx.Deadline(); ok {
		cancel()
		bounded, cancel = context.WithDeadline(context.WithoutCancel(ctx), deadline)
	}
	defer cancel()
	err := s.retry(bounded, func() error { return s.checkSchemaAndRLS(bounded) })
	check.err = s.translate("check the database", err)
	s.ready.mu.Lock()
	s.ready.check = nil
	s.ready.mu.Unlock()
	close(check.done)
}

func (s *Store) checkSchemaAndRLS(ctx context.Context) error {
	want, err := s.requiredSchemaVersion()
	if err != nil {
		return err
	}
	have, err := s.currentSchemaVersion(ctx)
	if err != nil {
		return err
	}
	if have < want {
		return fmt.Errorf("the schema has version %d, this program needs %d: run clientapps migrate up", have, want)
	}
	return s.db.CheckRowSecurity(ctx, tablesWithPolicy, s.rls)
}

// requiredSchemaVersion is the version that this program needs.
func (s *Store) requiredSchemaVersion() (int64, error) {
	p, err := s.migrations()
	if err != nil {
		return 0, err
	}
	sources := p.ListSources()
	return sources[len(sources)-1].Version, nil
}

// currentSchemaVersion is the version that the database has, 0 without a schema. Unlike goose's own way it writes nothing.
func (s *Store) currentSchemaVersion(ctx context.Context) (version int64, err error) {
	var exists bool
	if err := s.db.Ready().QueryRowContext(ctx, s.db.HasSchema()).Scan(&exists); err != nil || !exists {
		return 0, err
	}
	const newest = "SELECT coalesce(max(version_id), 0) FROM goose_db_version"
	err = s.db.Ready().QueryRowContext(ctx, newest).Scan(&version)
	return version, err
}
