package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"

	"github.com/clientapps/clientapps/store/retry"
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

// Fence returns a function that returns when the connection, which has broken, can no longer write.
func (db *DB) Fence(conn *gorm.DB) func(ctx context.Context) error {
	var b backend
	if c, ok := conn.Statement.ConnPool.(*sql.Conn); ok {
		_ = c.Raw(func(driver any) error { b = backendOf(driver.(pgxDriver).Conn()); return nil }) //nolint:errcheck,forcetypeassert // its only driver
	}
	return func(ctx context.Context) error { return db.fence(ctx, b) }
}

// FenceConn is Fence for a connection that Lend gave.
func (db *DB) FenceConn(conn *pgx.Conn) func(ctx context.Context) error {
	b := backendOf(conn)
	return func(ctx context.Context) error { return db.fence(ctx, b) }
}

func backendOf(conn *pgx.Conn) backend {
	b, _ := conn.PgConn().CustomData()[backendKey].(backend)
	return b
}

// errStillRunning says that a fence ran out of time.
var errStillRunning = errors.New("the transaction may still be running")

// fence terminates the backend, since bytes may still be on their way to it, and waits until it is gone. When the backend is
// unknown, it waits for the end of all transactions of this role that have begun.
func (db *DB) fence(ctx context.Context, b backend) error {
	query, args := "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2", []any{b.pid, b.start}
	if b.pid == 0 {
		var now time.Time
		if err := db.pool.QueryRowContext(ctx, "SELECT clock_timestamp()").Scan(&now); err != nil {
			return err
		}
		query, args = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = current_user
			AND pid <> pg_backend_pid() AND xact_start < $1`, []any{now}
	}
	return retry.Policy{Pause: fencePause}.Do(ctx, func() (again bool, err error) {
		var running int64
		if err = db.pool.QueryRowContext(ctx, query, args...).Scan(&running); err != nil || running == 0 {
			return false, err
		}
		return true, fmt.Errorf("%w: %w", errStillRunning, context.DeadlineExceeded)
	})
}

// fencePause is the pause between two looks at what still runs.
const fencePause = 50 * time.Millisecond
