package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"gorm.io/gorm"
)

// confined are the tables with a policy. Which clients a token covers is asked before there is a client.
var confined = []string{"apps", "app_changes", "client_app_counts"}

// confine puts every statement of gorm on a per-client table into a transaction that is confined to the client of its
// context.
func (w *wall) confine(db *gorm.DB) error {
	on := db.Callback()
	return errors.Join(
		on.Query().Before("gorm:query").After("wall:read").Register("rows:confine", w.confineQuery),
		on.Row().Before("gorm:row").After("wall:read").Register("rows:confine", w.confineRow),
		on.Raw().Before("gorm:raw").After("wall:read").Register("rows:confine", w.confineRaw),
		on.Create().Before("wall:stand").Register("rows:confine", w.confineWrite),
		on.Update().Before("wall:stand").Register("rows:confine", w.confineWrite),
		on.Delete().Before("wall:stand").Register("rows:confine", w.confineWrite),

		on.Query().After("gorm:query").Register("rows:release", release),
		on.Raw().After("gorm:raw").Register("rows:release", release),
		on.Create().After("wall:leave").Register("rows:release", release),
		on.Update().After("wall:leave").Register("rows:release", release),
		on.Delete().After("wall:leave").Register("rows:release", release),
	)
}

func (w *wall) perClient(db *gorm.DB) bool {
	return db.Error == nil && w.read(db.Statement.SQL.String()).perClient
}

func (w *wall) confineQuery(db *gorm.DB) {
	if w.perClient(db) {
		confineStatement(db, true)
	}
}

func (w *wall) confineRow(db *gorm.DB) {
	_, inside := db.Statement.ConnPool.(gorm.TxCommitter)
	if w.perClient(db) && !inside {
		_ = db.AddError(errLoose)
	}
}

func (w *wall) confineRaw(db *gorm.DB) {
	if w.perClient(db) {
		confineStatement(db, false)
	}
}

func (w *wall) confineWrite(db *gorm.DB) {
	if slices.Contains(w.tables, db.Statement.Table) {
		confineStatement(db, false)
	}
}

// confinedPool is the pool of one statement that has been confined.
type confinedPool struct {
	gorm.ConnPool

	outside gorm.ConnPool
	end     func() error // of what went well
	failed  func() error
}

// errLoose says that the rows of a statement would outlast the transaction that confines it.
var errLoose = errors.New("rows of a client outside of a transaction")

// confineStatement gives a statement on a per-client table a transaction, unless it is in one, for only that can be
// confined; or opens the transaction that it is in to all clients, for what acrossClients declares.
func confineStatement(db *gorm.DB, readOnly bool) {
	id, own := clientOf(db.Statement.Context)
	if db.Error != nil || db.DryRun {
		return
	}
	switch pool := db.Statement.ConnPool.(type) {
	case gorm.TxCommitter:
		if declaredAcross(db) {
			before := confineToNobody
			if own {
				before = id.String()
			}
			openToAll(db, before)
		}
	case gorm.TxBeginner:
		if !own {
			return
		}
		tx, err := pool.BeginTx(db.Statement.Context, &sql.TxOptions{ReadOnly: readOnly})
		if db.AddError(err) == nil {
			db.Statement.ConnPool = &confinedPool{tx, db.Statement.ConnPool, tx.Commit, tx.Rollback}
		}
	}
}

// openToAll lasts for one statement. When that fails PostgreSQL takes no more of them, and the transaction ends.
func openToAll(db *gorm.DB, before string) {
	ctx, tx := db.Statement.Context, db.Statement.ConnPool
	set := func(to string) error {
		_, err := tx.ExecContext(ctx, confine, to)
		return err
	}
	if db.AddError(set(confineToAll)) == nil {
		db.Statement.ConnPool = &confinedPool{tx, tx, func() error { return set(before) }, func() error { return nil }}
	}
}

// release ends what confineStatement began.
func release(db *gorm.DB) {
	pool, ok := db.Statement.ConnPool.(*confinedPool)
	if !ok {
		return
	}
	db.Statement.ConnPool = pool.outside
	if db.Error != nil {
		_ = pool.failed()
		return
	}
	_ = db.AddError(pool.end())
}

// checkRowSecurity wants policies that hold for the role of this server where it counts on them, and none where it would
// see nothing for them.
func (s *Store) checkRowSecurity(ctx context.Context) error {
	var all, some bool
	const query = "SELECT coalesce(bool_and(row_security_active(name)), false), coalesce(bool_or(row_security_active(name)), false) " +
		"FROM unnest(CAST($1 AS text[])) AS name"
	row := s.ready.pool.QueryRowContext(ctx, query, "{"+strings.Join(confined, ",")+"}")
	if err := row.Scan(&all, &some); err != nil {
		return err
	}
	switch {
	case s.confines && !all:
		return errors.New("row security is asked for, but does not hold for this role: run deploy/rls.sql, and serve as another role than the owner")
	case some && !s.confines:
		return errors.New("the database has row security for this role: serve with --row-level-security")
	}
	return nil
}
