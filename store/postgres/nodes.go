package postgres

import (
	"context"
	"errors"
	"fmt"
)

// errNodeAway says that a machine of a distributed database does not answer. Later it may.
var errNodeAway = errors.New("a machine of the cluster does not answer")

// onAllNodes runs a query that returns one value on each machine of a distributed database, and gives each result to take. It returns
// errNodeAway when a machine does not answer: the others have run the query all the same.
func (db *DB) onAllNodes(ctx context.Context, query string, take func(node int64, result string)) error {
	rows, err := db.pool.QueryContext(ctx, "SELECT nodeid, success, result FROM run_command_on_all_nodes($1)", query)
	if err != nil {
		return err
	}
	defer rows.Close()
	away := ""
	for rows.Next() {
		var node int64
		var success bool
		var result string
		if err := rows.Scan(&node, &success, &result); err != nil {
			return err
		}
		if success {
			take(node, result)
		} else {
			away = result
		}
	}
	if away != "" && rows.Err() == nil {
		return fmt.Errorf("%w: %s: %w", errNodeAway, away, context.DeadlineExceeded)
	}
	return rows.Err()
}
