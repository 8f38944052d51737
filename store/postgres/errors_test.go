package postgres_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/clientapps/clientapps/store/postgres"
)

// The answers of Citus are as it gave them when machines were killed.
func TestMayHaveCommitted(t *testing.T) {
	t.Parallel()
	const node = "connection to the remote node clientapps@10.0.0.2:5432 failed with the following error: "
	for _, c := range []struct {
		severity, code, message string
		want                    bool
	}{
		{"FATAL", "57P01", "terminating connection due to administrator command", true},
		{"PANIC", "XX001", "could not write", true},
		{"ERROR", "57P01", "terminating connection due to administrator command", true}, // of a worker
		{"ERROR", "57014", "canceling statement due to user request", true},
		{"ERROR", "XX000", "postmaster was shut down, exiting", true},
		{"ERROR", "XX000", "could not commit transaction for shard 102008 on at least one node", true},
		{"ERROR", "08006", node + "connection not open", true},
		{"ERROR", "08006", node + "server closed the connection unexpectedly", true},
		{"ERROR", "08006", node + "Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?", false},
		{"ERROR", "08006", node + "FATAL:  the database system is starting up", false},
		{"ERROR", "08006", "could not establish any connections to the node 10.0.0.2:5432 after 30000 ms", false},
		{"ERROR", "55P03", "canceling statement due to lock timeout", false},
		{"ERROR", "40P01", "deadlock detected", false},
		{"ERROR", "23505", "duplicate key value violates unique constraint", false},
		{"ERROR", "53300", "too many connections", false},
	} {
		err := fmt.Errorf("update: %w", &pgconn.PgError{SeverityUnlocalized: c.severity, Code: c.code, Message: c.message})
		if got := postgres.MayHaveCommitted(err); got != c.want {
			t.Errorf("%s %s %s: %t", c.severity, c.code, c.message, got)
		}
	}
	if postgres.MayHaveCommitted(nil) || postgres.MayHaveCommitted(errors.New("XX000")) {
		t.Error("what PostgreSQL has not answered is not recognized")
	}
}
