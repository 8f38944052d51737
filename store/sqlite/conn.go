package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"

	"gorm.io/gorm"
)

// maxPrepared bounds the prepared statements that one connection keeps. Each takes some tens of kilobytes.
const maxPrepared = 256

// Conn is a connection of a pool, beneath database/sql. It keeps each statement that Query has prepared until it is closed: to parse the
// update of an app and its triggers costs more than to run them. One goroutine may use it at a time.
type Conn struct {
	driverConn

	prepared    map[string]statement // by text
	args        []driver.NamedValue  // of the statement that runs
	row         []driver.Value       // of the statement that runs
	onStatement func(text string)    // Config.OnStatement
}

// driverConn is what the driver's connections can do, with and without traces.
type driverConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.Pinger
	driver.QueryerContext
	driver.SessionResetter
	driver.Validator
}

type statement interface {
	driver.Stmt
	driver.StmtQueryContext
}

// connector makes the connections of a pool.
type connector struct {
	driver      driver.Driver
	dsn         string
	onStatement func(text string) // may be nil
}

func (c *connector) Driver() driver.Driver { return c.driver }

func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	opened, err := c.driver.Open(c.dsn)
	if err != nil {
		return nil, err
	}
	conn, ok := opened.(driverConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("connection is a %T", opened), opened.Close())
	}
	return &Conn{driverConn: conn, prepared: map[string]statement{}, onStatement: c.onStatement}, nil
}

// LendWriter runs work on the connection for writing, which it waits for until ctx ends.
func (db *DB) LendWriter(ctx context.Context, work func(*Conn) error) error {
	return lend(ctx, db.write, work)
}

// LendReader runs work on a connection for reading.
func (db *DB) LendReader(ctx context.Context, work func(*Conn) error) error {
	return lend(ctx, db.read, work)
}

// lend runs work on a connection of a pool. When work panics, the connection is closed and its transaction is rolled back.
func lend(ctx context.Context, orm *gorm.DB, work func(*Conn) error) error {
	pool, err := orm.DB()
	if err != nil {
		return err
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // back to the pool
	return conn.Raw(func(conn any) error {
		c, ok := conn.(*Conn)
		if !ok {
			return fmt.Errorf("connection is a %T", conn)
		}
		return work(c)
	})
}

// Query runs one statement and calls scan with each row, which is valid until scan returns. Outside of a transaction, what it writes is
// committed when Query returns nil. The driver starts a goroutine for a ctx that can end.
func (c *Conn) Query(ctx context.Context, text string, args []any, scan func(row []driver.Value) error) (err error) {
	c.args = c.args[:0]
	for i, arg := range args {
		value, err := driver.DefaultParameterConverter.ConvertValue(arg)
		if err != nil {
			return fmt.Errorf("parameter %d: %w", i+1, err)
		}
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: value})
	}
	var rows driver.Rows
	if st, prepareErr := c.prepare(ctx, text); prepareErr == nil {
		rows, err = st.QueryContext(ctx, c.args)
	} else {
		rows, err = c.QueryContext(ctx, text, c.args) // fails likewise, but as a statement that traces show
	}
	if err != nil {
		return err
	}
	err = c.scan(rows, scan)
	if closeErr := rows.Close(); err == nil {
		err = closeErr
	}
	if err == nil && c.onStatement != nil {
		c.onStatement(text)
	}
	return err
}

func (c *Conn) scan(rows driver.Rows, scan func([]driver.Value) error) error {
	columns := len(rows.Columns())
	if len(c.row) < columns {
		c.row = make([]driver.Value, columns)
	}
	for {
		err := rows.Next(c.row[:columns])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = scan(c.row[:columns])
		}
		if err != nil {
			return err
		}
	}
}

// prepare returns the prepared statement of a text, from the cache if possible. SQLite prepares it anew itself when the schema has changed.
func (c *Conn) prepare(ctx context.Context, text string) (statement, error) {
	if st, ok := c.prepared[text]; ok {
		return st, nil
	}
	for old, st := range c.prepared {
		if len(c.prepared) < maxPrepared {
			break
		}
		if err := st.Close(); err != nil {
			return nil, err
		}
		delete(c.prepared, old) // any one
	}
	stmt, err := c.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	st, ok := stmt.(statement)
	if !ok {
		return nil, errors.Join(fmt.Errorf("statement is a %T", stmt), stmt.Close())
	}
	c.prepared[text] = st
	return st, nil
}

// Close implements driver.Conn. Statements must be closed before their connection.
func (c *Conn) Close() error {
	var errs []error
	for _, st := range c.prepared {
		errs = append(errs, st.Close())
	}
	c.prepared = nil
	return errors.Join(append(errs, c.driverConn.Close())...)
}

// InTx runs work in a transaction. begun says that BEGIN succeeded: an error is then one of work, which was rolled back, or of COMMIT.
func (c *Conn) InTx(ctx context.Context, work func() error) (begun bool, err error) {
	tx, err := c.BeginTx(ctx, driver.TxOptions{})
	if err != nil {
		return false, err
	}
	if err := work(); err != nil {
		_ = tx.Rollback()
		return true, err
	}
	return true, tx.Commit()
}
