package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/clientapps/clientapps/store/retry"
)

// errStillWriting says that AwaitWriters ran out of time.
var errStillWriting = errors.New("transactions that began before may still write")

// writersPolicy is how often AwaitWriters looks at what still writes.
var writersPolicy = retry.Policy{Pause: 2 * time.Millisecond, MaxPause: 50 * time.Millisecond}

// AwaitWriters returns when the transactions that now write to one of the tables, or lock its rows, have ended. Those that begin
// later neither wait nor are waited for: they see what was committed before this call. CREATE INDEX CONCURRENTLY waits in the
// same way. A statement locks its tables before it takes its snapshot, so that none is missed.
func (db *DB) AwaitWriters(ctx context.Context, tables ...string) error {
	const writers = `SELECT coalesce(string_agg(DISTINCT virtualtransaction, ','), '') FROM pg_locks
		WHERE locktype = 'relation' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
			AND relation = ANY (CAST(CAST($1 AS text[]) AS regclass[])) AND mode IN ('RowShareLock', 'RowExclusiveLock')
			AND pid IS DISTINCT FROM pg_backend_pid() AND ($2 = '' OR virtualtransaction = ANY (string_to_array($2, ',')))`
	names, waitingFor := "{"+strings.Join(tables, ",")+"}", ""
	return writersPolicy.Do(ctx, func() (again bool, err error) {
		if err = db.pool.QueryRowContext(ctx, writers, names, waitingFor).Scan(&waitingFor); err != nil || waitingFor == "" {
			return false, err
		}
		return true, fmt.Errorf("%w: %w", errStillWriting, context.DeadlineExceeded)
	})
}
