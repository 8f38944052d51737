package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/clientapps/clientapps/store/retry"
)

// errStillWriting says that AwaitWriters ran out of time.
var errStillWriting = errors.New("transactions that began before may still write")

// writersPolicy is how often AwaitWriters looks at what still writes.
var writersPolicy = retry.Policy{Pause: 2 * time.Millisecond, MaxPause: 50 * time.Millisecond}

// Queries for the transactions that write to tables, or lock their rows, on one machine.
const (
	writersQuery = `SELECT coalesce(string_agg(DISTINCT virtualtransaction, ','), '') FROM pg_locks
		WHERE locktype = 'relation' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
			AND relation IN (SELECT unnest(CAST(CAST(%[1]s AS text[]) AS regclass[])) %[2]s)
			AND mode IN ('RowShareLock', 'RowExclusiveLock') AND pid IS DISTINCT FROM pg_backend_pid()`

	// andShards adds the parts of the tables on a machine of a distributed database.
	andShards = `UNION ALL SELECT to_regclass(shard_name(logicalrelid, shardid)) FROM pg_dist_shard
		WHERE logicalrelid = ANY (CAST(CAST(%s AS text[]) AS regclass[]))`
)

// AwaitWriters returns when the transactions that now write to one of the tables, or lock its rows, have ended. Those that begin
// later neither wait nor are waited for: they see what was committed before this call. CREATE INDEX CONCURRENTLY waits in the
// same way. A statement locks its tables before it takes its snapshot, so that none is missed.
func (db *DB) AwaitWriters(ctx context.Context, tables ...string) error {
	names := "{" + strings.Join(tables, ",") + "}"
	look := func() ([]string, error) {
		var writers string
		err := db.pool.QueryRowContext(ctx, fmt.Sprintf(writersQuery, "$1", ""), names).Scan(&writers)
		return splitList(writers), err
	}
	if !db.distributed.Load() {
		return awaitAll(ctx, look)
	}
	// A statement locks its tables on the machine that got it, and then shards on others. The second time finds what a machine sent
	// to another one just before it failed.
	quoted := "'" + names + "'"
	command := fmt.Sprintf(writersQuery, quoted, fmt.Sprintf(andShards, quoted))
	look = func() (writers []string, err error) {
		err = db.onAllNodes(ctx, command, func(node int64, result string) {
			for _, w := range splitList(result) {
				writers = append(writers, fmt.Sprintf("%d:%s", node, w))
			}
		})
		return writers, err
	}
	if err := awaitAll(ctx, look); err != nil {
		return err
	}
	return awaitAll(ctx, look)
}

// awaitAll returns when look finds nothing that it found at first.
func awaitAll(ctx context.Context, look func() ([]string, error)) error {
	var waitingFor []string
	first := true
	return writersPolicy.Do(ctx, func() (again bool, err error) {
		now, err := look()
		if err != nil {
			return false, err
		}
		if first {
			waitingFor, first = now, false
		} else {
			waitingFor = slices.DeleteFunc(waitingFor, func(w string) bool { return !slices.Contains(now, w) })
		}
		if len(waitingFor) == 0 {
			return false, nil
		}
		return true, fmt.Errorf("%w: %w", errStillWriting, context.DeadlineExceeded)
	})
}

func splitList(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}
