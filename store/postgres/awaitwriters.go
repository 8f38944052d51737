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

// errStillWriting means that AwaitWriters ran out of time.
var errStillWriting = errors.New("transactions that began before may still write")

// writersPoll is how often AwaitWriters asks which transactions still write.
var writersPoll = retry.Policy{Pause: 2 * time.Millisecond, MaxPause: 50 * time.Millisecond}

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

// AwaitWriters waits for the end of the transactions that now write to one of the tables, or lock its rows. Those that begin
// later neither wait nor are waited for: they see what was committed before this call. CREATE INDEX CONCURRENTLY waits in the
// same way. A statement locks its tables before it takes its snapshot, so that none is missed.
func (db *DB) AwaitWriters(ctx context.Context, tables ...string) error {
	names := "{" + strings.Join(tables, ",") + "}"
	listWriters := func() ([]string, error) {
		var writers string
		err := db.pool.QueryRowContext(ctx, fmt.Sprintf(writersQuery, "$1", ""), names).Scan(&writers)
		return splitList(writers), err
	}
	if !db.distributed.Load() {
		return awaitAll(ctx, listWriters)
	}
	// A statement locks its tables on the machine that received it, and then shards on others. The second round finds statements that
	// a machine sent to another one just before it failed.
	quoted := "'" + names + "'"
	command := fmt.Sprintf(writersQuery, quoted, fmt.Sprintf(andShards, quoted))
	listWriters = func() (writers []string, err error) {
		err = db.onAllNodes(ctx, command, func(node int64, result string) {
			for _, w := range splitList(result) {
				writers = append(writers, fmt.Sprintf("%d:%s", node, w))
			}
		})
		return writers, err
	}
	if err := awaitAll(ctx, listWriters); err != nil {
		return err
	}
	return awaitAll(ctx, listWriters)
}

// awaitAll returns when each writer that list returned at first has been missing from a later list.
func awaitAll(ctx context.Context, list func() ([]string, error)) error {
	var waitingFor []string
	first := true
	return writersPoll.Do(ctx, func() (retry bool, err error) {
		now, err := list()
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
