package postgres

import (
	"context"
	"errors"
	"fmt"
)

// errNodeUnavailable means that a machine of a distributed database does not answer now.
var errNodeUnavailable = errors.New("a machine of the cluster does not answer")

// onAllNodes runs a query that returns one value on each machine of a distributed database, and gives each result to handle. It returns
// errNodeUnavailable when a machine does not answer. The other machines have run the query nevertheless.
func (db *DB) onAllNodes(ctx context.Context, query string, handle func(node int64, result string)) error {
	rows, err := db.pool.QueryContext(ctx, "SELECT nodeid, success, result FROM run_command_on_all_nodes($1)", query)
	if err != nil {
		return err
	}
	defer rows.Close()
	failure := ""
	for rows.Next() {
		var node int64
		var success bool
		var result string
		if err := rows.Scan(&node, &success, &result); err != nil {
			return err
		}
		if success {
			handle(node, result)
		} else {
			failure = result
		}
	}
	if failure != "" && rows.Err() == nil {
		return fmt.Errorf("%w: %s: %w", errNodeUnavailable, failure, context.DeadlineExceeded)
	}
	return rows.Err()
}
