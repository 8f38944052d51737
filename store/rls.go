package store

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// With Config.RowSecurity, the policies of deploy/rls.sql limit each transaction to the rows of one client. They read a setting
// that ends with the transaction, so that it cannot leak to the next user of the connection, also behind a pooler. Without the
// setting the policies show no rows.
const (
	setTenant  = "SELECT set_config('clientapps.client_id', $1, true)"
	allTenants = "*" // for statements that crossTenant declares
	noTenant   = ""
)

type clientContextKey struct{}

// withTenant adds the client to the context when row-level security is on. Transactions under it see the client's rows only.
func (s *Store) withTenant(ctx context.Context, id uuid.UUID) context.Context {
	if !s.rls {
		return ctx
	}
	return context.WithValue(ctx, clientContextKey{}, id)
}

func clientOf(ctx context.Context) (uuid.UUID, bool) {
	id, ok := ctx.Value(clientContextKey{}).(uuid.UUID)
	return id, ok
}

// queueSetTenant queues the setting of the client, for a batch that is one transaction.
func (s *Store) queueSetTenant(batch *pgx.Batch, client uuid.UUID) {
	if s.rls {
		batch.Queue(setTenant, client.String())
	}
}

// queryAsTenant runs one statement for the client of the context. The setting and the statement are one implicit transaction
// and one round trip.
func queryAsTenant(ctx context.Context, conn *pgx.Conn, read func(pgx.Rows) error, sql string, args ...any) error {
	client := noTenant
	if id, ok := clientOf(ctx); ok {
		client = id.String()
	}
	batch := &pgx.Batch{}
	batch.Queue(setTenant, client)
	batch.Queue(sql, args...).Query(read)
	return send(ctx, conn, batch)
}

// retryInRLS retries a read that readPool does not retry, because row-level security runs it in a transaction.
func (s *Store) retryInRLS(ctx context.Context, do func() error) error {
	if !s.rls {
		return do()
	}
	return s.retry(ctx, do)
}

// pgxConn renames the type, so that the embedded field does not hide its method Conn.
type pgxConn = stdlib.Conn
