package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
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

	// On a distributed database. Citus puts them into the names of the processes and the prepared transactions that work for the
	// backend on other machines.
	globalPID int64
	group     int32 // of its machine
}

const (
	backendKey   = "backend" // in a connection's custom data
	backendQuery = "SELECT pid, backend_start, to_regclass('pg_dist_partition') IS NOT NULL FROM pg_stat_activity WHERE pid = pg_backend_pid()"
	citusQuery   = "SELECT citus_backend_gpid(), groupid, EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = to_regclass('clients')) " +
		"FROM pg_dist_local_group"
)

// Distributed reports whether the database is distributed over several machines by deploy/citus.sql. Each new connection asks, so it
// is known to whoever has a connection. It is false before the first connection.
func (db *DB) Distributed() bool { return db.distributed.Load() }

// identifyBackend stores the backend of a new connection in its custom data, and whether the database is distributed.
func (db *DB) identifyBackend(ctx context.Context, conn *pgx.Conn) error {
	var b backend
	citus, distributed := false, false
	err := conn.QueryRow(ctx, backendQuery, pgx.QueryExecModeExec).Scan(&b.pid, &b.start, &citus)
	if err == nil && citus {
		err = conn.QueryRow(ctx, citusQuery, pgx.QueryExecModeExec).Scan(&b.globalPID, &b.group, &distributed)
	}
	if err != nil {
		return errors.Join(err, conn.Close(ctx))
	}
	db.distributed.Store(distributed)
	if b.pid == conn.PgConn().PID() { // else the number is the pooler's
		conn.PgConn().CustomData()[backendKey] = b
	}
	return nil
}

// Fence returns a function that makes sure that a connection, which has broken, can no longer write. It returns when that is so.
func (db *DB) Fence(conn *gorm.DB) func(ctx context.Context) error {
	var b backend
	if c, ok := conn.Statement.ConnPool.(*sql.Conn); ok {
		_ = c.Raw(func(driver any) error { b = backendOf(driver.(pgxDriver).Conn()); return nil }) //nolint:errcheck,forcetypeassert // its only driver
	}
	return func(ctx context.Context) error { return db.fence(ctx, b) }
}

// FenceConn is Fence for a connection from Lend.
func (db *DB) FenceConn(conn *pgx.Conn) func(ctx context.Context) error {
	b := backendOf(conn)
	return func(ctx context.Context) error { return db.fence(ctx, b) }
}

func backendOf(conn *pgx.Conn) backend {
	b, _ := conn.PgConn().CustomData()[backendKey].(backend)
	return b
}

// errStillRunning means that a fence ran out of time.
var errStillRunning = errors.New("the transaction may still be running")

// fence terminates the backend, since bytes may still be on their way to it, and waits until it is gone. When the backend is
// unknown, it waits for the end of all transactions of this role that have begun.
func (db *DB) fence(ctx context.Context, b backend) error {
	if db.Distributed() {
		return db.fenceCluster(ctx, b)
	}
	query, args := "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2", []any{b.pid, b.start}
	if b.pid == 0 {
		var now time.Time
		if err := db.pool.QueryRowContext(ctx, "SELECT clock_timestamp()").Scan(&now); err != nil {
			return err
		}
		query, args = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = current_user
			AND pid <> pg_backend_pid() AND xact_start < $1`, []any{now}
	}
	return retry.Policy{Pause: fencePollInterval}.Do(ctx, func() (retry bool, err error) {
		var running int64
		if err = db.pool.QueryRowContext(ctx, query, args...).Scan(&running); err != nil || running == 0 {
			return false, err
		}
		return true, fmt.Errorf("%w: %w", errStillRunning, context.DeadlineExceeded)
	})
}

// fencePollInterval is the pause between two queries for what still runs.
const fencePollInterval = 50 * time.Millisecond

// errUnknownBackend means that, on a distributed database, a pooler hides which processes to terminate.
var errUnknownBackend = errors.New("which backend served the connection is not known")

// fenceCluster is fence on a distributed database. It also terminates the processes that work for the backend on other machines. It
// needs two checks in a row that find nothing: the backend may have sent something just before its end, which only the second sees. A
// machine that does not answer may still run what it received, so fenceCluster waits until it answers.
func (db *DB) fenceCluster(ctx context.Context, b backend) error {
	if b.globalPID == 0 {
		return errUnknownBackend // behind a pooler
	}
	// A transaction that is prepared is committed or rolled back by Citus, later.
	command := fmt.Sprintf(`SELECT count(pg_terminate_backend(pid)) +
			(SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database() AND gid LIKE 'citus\_%d\_%d\_%%')
		FROM pg_stat_activity WHERE application_name = 'citus_internal gpid=%d' OR pid = %d AND backend_start = '%s'`,
		b.group, b.pid, b.globalPID, b.pid, b.start.Format(time.RFC3339Nano))
	quietChecks := 0 // consecutive checks that found nothing running
	return retry.Policy{Pause: fencePollInterval}.Do(ctx, func() (retry bool, err error) {
		running := int64(0)
		err = db.onAllNodes(ctx, command, func(_ int64, result string) {
			n, _ := strconv.ParseInt(result, 10, 64) // it is a count
			running += n
		})
		switch {
		case err != nil && !errors.Is(err, errNodeUnavailable):
			return false, err
		case err != nil || running > 0:
			quietChecks = 0
		default:
			quietChecks++
		}
		if quietChecks == 2 {
			return false, nil
		}
		return true, errors.Join(errStillRunning, err, context.DeadlineExceeded)
	})
}
