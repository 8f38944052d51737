package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"

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

// confiningConnector makes connections whose transactions are confined to the client that their context is for.
type confiningConnector struct{ driver.Connector }

func (c confiningConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	plain, ok := conn.(*stdlib.Conn)
	if !ok {
		return nil, fmt.Errorf("connection is a %T", conn)
	}
	return &confinedConn{plain}, nil
}

// pgxConn has its name so that the method Conn is not hidden behind a field.
type pgxConn = stdlib.Conn

type confinedConn struct{ *pgxConn }

// BeginTx begins the transaction and confines it in one round trip.
func (c *confinedConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	id, ok := clientOf(ctx)
	if !ok || opts.Isolation != driver.IsolationLevel(sql.LevelDefault) {
		return c.pgxConn.BeginTx(ctx, opts) // to read the whole catalog, it sees no client's rows
	}
	begin := "BEGIN"
	if opts.ReadOnly {
		begin = "BEGIN READ ONLY"
	}
	// An id is digits and dashes. Without parameters both go as one message.
	tx, err := c.Conn().BeginTx(ctx, pgx.TxOptions{
		BeginQuery: begin + "; SELECT set_config('clientapps.client_id', '" + id.String() + "', true)",
	})
	if err != nil {
		return nil, err
	}
	return confinedTx{ctx, tx}, nil
}

type confinedTx struct {
	ctx context.Context
	tx  pgx.Tx
}

func (t confinedTx) Commit() error   { return t.tx.Commit(t.ctx) }
func (t confinedTx) Rollback() error { return t.tx.Rollback(t.ctx) }
