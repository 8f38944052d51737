package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// txConnector makes connections whose transactions begin with a lock_timeout. The setting ends with the transaction, since a
// pooler may give the connection to another server then.
type txConnector struct {
	driver.Connector

	lockTimeout time.Duration // how long a transaction that writes waits for each lock; 0: as the server is configured
}

// Connect implements driver.Connector.
func (c txConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	plain, ok := conn.(*pgxConn)
	if !ok {
		return nil, fmt.Errorf("connection is a %T", conn)
	}
	begin := "BEGIN"
	if c.lockTimeout > 0 {
		begin += "; SET LOCAL lock_timeout = " + strconv.FormatInt(c.lockTimeout.Milliseconds(), 10)
	}
	return &txConn{plain, begin}, nil
}

// pgxConn renames the type, so that the embedded field does not hide its method Conn.
type pgxConn = stdlib.Conn

type txConn struct {
	*pgxConn

	begin string // a transaction that writes
}

// BeginTx begins the transaction and sets its lock_timeout in one round trip.
func (c *txConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if opts.Isolation != driver.IsolationLevel(sql.LevelDefault) {
		return c.pgxConn.BeginTx(ctx, opts)
	}
	if c.Conn().IsClosed() {
		return nil, driver.ErrBadConn
	}
	begin := c.begin
	if opts.ReadOnly {
		begin = "BEGIN READ ONLY"
	}
	tx, err := c.Conn().BeginTx(ctx, pgx.TxOptions{BeginQuery: begin})
	if err != nil {
		return nil, err
	}
	return pgxTx{ctx, tx}, nil
}

type pgxTx struct {
	ctx context.Context
	tx  pgx.Tx
}

// Commit closes a connection whose COMMIT is in doubt: nobody may use it while a fence ends it.
func (t pgxTx) Commit() error {
	err := t.tx.Commit(t.ctx)
	if MayHaveCommitted(err) {
		_ = t.tx.Conn().Close(t.ctx)
	}
	return err
}

func (t pgxTx) Rollback() error { return t.tx.Rollback(t.ctx) }

// pgxDriver is a connection of the pool.
type pgxDriver interface{ Conn() *pgx.Conn }

// Lend runs work on a pgx connection of the pool. The connection is closed when it is in doubt whether the work was committed: nobody
// may use it while a fence ends it.
func (db *DB) Lend(ctx context.Context, work func(*pgx.Conn) error) error {
	conn, err := db.pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // back to the pool
	return conn.Raw(func(driver any) error {
		c, ok := driver.(pgxDriver)
		if !ok {
			return fmt.Errorf("connection is a %T", driver)
		}
		err := work(c.Conn())
		if MayHaveCommitted(err) {
			_ = c.Conn().Close(ctx)
		}
		return err
	})
}

// Send sends the statements of one transaction, and rolls back when one fails.
func Send(ctx context.Context, conn *pgx.Conn, batch *pgx.Batch) error {
	err := conn.SendBatch(ctx, batch).Close()
	if err != nil && conn.PgConn().TxStatus() != 'I' {
		_, _ = conn.Exec(ctx, "ROLLBACK") // the pool discards a connection that cannot even do this
	}
	return err
}
