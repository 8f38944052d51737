package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"
)

// backend identifies the PostgreSQL process that serves a connection. The zero value means unknown: behind a pooler, any of its
// connections may have run the statement.
type backend struct {
	pid   uint32
	start time.Time // tells it from a later process with the same number
}

const (
	backendKey   = "backend" // in a connection's custom data
	backendQuery = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
)

// identifyBackend stores the backend of a new connection in its custom data.
func identifyBackend(ctx context.Context, conn *pgx.Conn) error {
	var b backend
	err := conn.QueryRow(ctx, backendQuery, pgx.QueryExecModeExec).Scan(&b.pid, &b.start)
	if err != nil {
		return errors.Join(err, conn.Close(ctx))
	}
	if b.pid == conn.PgConn().PID() { // else the number is the pooler's
		conn.PgConn().CustomData()[backendKey] = b
	}
	return nil
}

func backendOf(conn *pgx.Conn) backend {
	b, _ := conn.PgConn().CustomData()[backendKey].(backend)
	return b
}

// backend returns the backend of a connection of the pool.
func (postgresDialect) backend(conn *gorm.DB) (b backend) {
	if c, ok := conn.Statement.ConnPool.(*sql.Conn); ok {
		_ = c.Raw(func(driver any) error { b = backendOf(driver.(pgxDriver).Conn()); return nil }) //nolint:errcheck,forcetypeassert // its only driver
	}
	return b
}

// dropIdle closes the idle connections of the pool.
func (postgresDialect) dropIdle(s *Store) {
	if pool, err := s.write.DB(); err == nil {
		pool.SetMaxIdleConns(0)
		pool.SetMaxIdleConns(s.maxConns)
	}
}

// errStillRunning says that a fence ran out of time.
var errStillRunning = errors.New("the transaction may still be running")

// fence returns when a broken connection can no longer write. It terminates the connection's backend, since bytes may still be
// on their way to it. When the backend is unknown, it waits for the end of all transactions of this role that have begun.
func (postgresDialect) fence(ctx context.Context, s *Store, b backend) error {
	db := s.write.WithContext(ctx)
	var running int64
	if b.pid != 0 {
		const end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid = ? AND backend_start = ?"
		return untilNone(ctx, func() error { return db.Raw(end, b.pid, b.start).Scan(&running).Error }, &running)
	}
	var now time.Time
	if err := db.Raw("SELECT clock_timestamp()").Scan(&now).Error; err != nil {
		return err
	}
	const begun = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = current_user
		AND pid <> pg_backend_pid() AND xact_start < ?`
	return untilNone(ctx, func() error { return db.Raw(begun, now).Scan(&running).Error }, &running)
}

// untilNone runs count until it has set n to 0.
func untilNone(ctx context.Context, count func() error, n *int64) error {
	for {
		if err := count(); err != nil || *n == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", errStillRunning, ctx.Err())
		case <-time.After(probeInterval):
		}
	}
}
