package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/clientapps/clientapps/store/groupcommit"
	"github.com/clientapps/clientapps/store/sqlite"
)

// sqliteApps is the appTable of SQLite. gorm builds the statements of one app, each once, and each connection keeps them prepared: to
// build and to parse the text of a patch took most of its time.
type sqliteApps struct {
	*appStatements

	db *sqlite.DB
}

func newSQLiteApps(s *Store, db *sqlite.DB) *sqliteApps { return &sqliteApps{newAppStatements(s), db} }

func (*sqliteApps) writers() int { return 1 } // there is one connection to write with

func (*sqliteApps) writeBulk(context.Context, *bulkUpdate) error { return nil } // there are no round trips to save

func (*sqliteApps) readStats() groupcommit.Stats { return groupcommit.Stats{} }

func (*sqliteApps) close() {}

func (t *sqliteApps) take(ctx context.Context, key AppKey, toWrite bool) (App, error) {
	statement, args := t.takeStatement, []any{key.ClientID, key.ID}
	if toWrite {
		statement, args = t.takeToWrite, append(args, key.ClientID)
	}
	text, err := statement()
	if err != nil {
		return App{}, err
	}
	var app App
	found := false
	err = t.db.LendReader(ctx, func(c *sqlite.Conn) error {
		return c.Query(ctx, text, args, func(row []driver.Value) error {
			found = true
			return app.scan(row)
		})
	})
	if err == nil && !found {
		err = gorm.ErrRecordNotFound
	}
	return app, err
}

func (*sqliteApps) find(_ uuid.UUID, q *gorm.DB, apps *[]App, _ *int64) error {
	return q.Select(appColumns).Find(apps).Error
}

// write writes a batch in one transaction. A statement that is refused does not affect the others.
func (t *sqliteApps) write(batch []*appPatch) {
	if len(batch) == 1 {
		p := batch[0]
		p.Err = t.db.LendWriter(p.Ctx, func(c *sqlite.Conn) error { return t.writeOne(p.Ctx, c, p) })
		if mayHaveCommitted(p.Err) {
			p.Err = t.inDoubt(p.Err) // also when its time was up before it had the connection
		}
		return
	}
	ctx, cancel := t.s.bounded(context.Background()) // no caller's own deadline can bound what they share
	defer cancel()
	ctx, span := traceBatch(ctx, t.s, "write patches", batch)
	defer span.End()
	if err := t.db.LendWriter(ctx, func(c *sqlite.Conn) error { return t.writeBatch(ctx, c, batch) }); err != nil {
		for _, p := range batch {
			p.Err = err
		}
	}
}

func (t *sqliteApps) writeBatch(ctx context.Context, c *sqlite.Conn, batch []*appPatch) error {
	begun, err := c.InTx(ctx, func() error {
		// A statement on one row is short: ctx is looked at between statements, which costs no goroutine for each.
		each := context.WithoutCancel(ctx)
		for _, p := range batch {
			if err := ctx.Err(); err != nil {
				return err
			}
			// SQLite rolls back by itself when the disk is full or broken. What follows would be written outside of the transaction.
			if p.Err = t.writeOne(each, c, p); sqlite.Unavailable(p.Err) {
				return p.Err
			}
		}
		return nil
	})
	if begun && mayHaveCommitted(err) {
		err = t.inDoubt(err)
	}
	return err
}

func (t *sqliteApps) inDoubt(err error) error {
	return &inDoubtError{fence: t.db.Fence(nil), cause: err}
}

func (t *sqliteApps) writeOne(ctx context.Context, c *sqlite.Conn, p *appPatch) error {
	p.changed = false
	st, err := t.statement(p)
	if err != nil {
		return err
	}
	return c.Query(ctx, st.sql, p.args(st, t.s.now()), func(row []driver.Value) error {
		p.changed = true
		return p.app.scanPatched(row)
	})
}

var errColumns = errors.New("a row does not have the columns of an app in their types")

// scanPatched reads patchedColumns, and ignores what follows them.
func (a *App) scanPatched(row []driver.Value) error {
	if len(row) < len(patchedColumns) {
		return errColumns
	}
	if err := a.CatalogAppID.Scan(row[0]); err != nil {
		return err
	}
	for i, f := range appFields {
		if err := f.scan(a, row[1+i]); err != nil {
			return fmt.Errorf("%s: %w", f.column, err)
		}
	}
	var version, created, updated bool
	rest := row[1+len(appFields):]
	a.Version, version = rest[0].(int64)
	a.CreatedAt, created = rest[1].(time.Time)
	a.UpdatedAt, updated = rest[2].(time.Time)
	if !version || !created || !updated {
		return errColumns
	}
	return nil
}

// scan reads appColumns.
func (a *App) scan(row []driver.Value) error {
	if err := a.scanPatched(row); err != nil {
		return err
	}
	rest := row[len(patchedColumns):]
	if len(rest) != 3 {
		return errColumns
	}
	var key bool
	if a.NameKey, key = rest[2].(string); !key {
		return errColumns
	}
	return errors.Join(a.ClientID.Scan(rest[0]), a.ID.Scan(rest[1]))
}
