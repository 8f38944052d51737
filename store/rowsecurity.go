package store

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// With Config.RowSecurity, PostgreSQL itself keeps each transaction to the rows of one client, by the policies of
// deploy/rls.sql. They go by a setting that lasts as long as the transaction: it cannot leak to whoever has the connection
// next, be it through a pooler. Without the setting there are no rows.
const (
	confine         = "SELECT set_config('clientapps.client_id', $1, true)"
	confineToAll    = "*" // what acrossClients declares
	confineToNobody = ""
)

type clientContextKey struct{}

// forClient keeps what runs under the context to the rows of one client, where Config.RowSecurity asks for it.
func (s *Store) forClient(ctx context.Context, id uuid.UUID) context.Context {
	if !s.confines {
		return ctx
	}
	return context.WithValue(ctx, clientContextKey{}, id)
}

func clientOf(ctx context.Context) (uuid.UUID, bool) {
	id, ok := ctx.Value(clientContextKey{}).(uuid.UUID)
	return id, ok
}

// queueConfine confines the transaction that a batch is.
func (s *Store) queueConfine(batch *pgx.Batch, client uuid.UUID) {
	if s.confines {
		batch.Queue(confine, client.String())
	}
}

// queryConfined runs one statement for the client of the context. Without a BEGIN both are one transaction, and one round
// trip.
func queryConfined(ctx context.Context, conn *pgx.Conn, read func(pgx.Rows) error, sql string, args ...any) error {
	client := confineToNobody
	if id, ok := clientOf(ctx); ok {
		client = id.String()
	}
	batch := &pgx.Batch{}
	batch.Queue(confine, client)
	batch.Queue(sql, args...).Query(read)
	return send(ctx, conn, batch)
}

// againConfined is again for reads that readPool does not send again, since row security has them in a transaction.
func (s *Store) againConfined(ctx context.Context, do func() error) error {
	if !s.confines {
		return do()
	}
	return s.again(ctx, do)
}

// pgxConn has its name so that the method Conn is not hidden behind a field.
type pgxConn = stdlib.Conn
