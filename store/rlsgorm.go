package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"gorm.io/gorm"
)

// tablesWithPolicy are the tables with a policy. Which clients a token covers is asked before there is a client.
var tablesWithPolicy = []string{"apps", "app_changes", "client_app_counts"}

// registerRLS has gorm run every statement on a per-client table in a transaction that is limited to the client of its context.
func (g *tenantGuard) registerRLS(db *gorm.DB) error {
	on := db.Callback()
	return errors.Join(
		on.Query().Before("gorm:query").After("tenant:check").Register("rls:set", g.setTenantForQuery),
		on.Row().Before("gorm:row").After("tenant:check").Register("rls:set", g.setTenantForRow),
		on.Raw().Before("gorm:raw").After("tenant:check").Register("rls:set", g.setTenantForRaw),
		on.Create().Before("tenant:guard").Register("rls:set", g.setTenantForWrite),
		on.Update().Before("tenant:guard").Register("rls:set", g.setTenantForWrite),
		on.Delete().Before("tenant:guard").Register("rls:set", g.setTenantForWrite),

		on.Query().After("gorm:query").Register("rls:release", release),
		on.Raw().After("gorm:raw").Register("rls:release", release),
		on.Create().After("tenant:unguard").Register("rls:release", release),
		on.Update().After("tenant:unguard").Register("rls:release", release),
		on.Delete().After("tenant:unguard").Register("rls:release", release),
	)
}

func (g *tenantGuard) perClient(db *gorm.DB) bool {
	return db.Error == nil && g.check(db.Statement.SQL.String()).perClient
}

func (g *tenantGuard) setTenantForQuery(db *gorm.DB) {
	if g.perClient(db) {
		setTenantFor(db, true)
	}
}

func (g *tenantGuard) setTenantForRow(db *gorm.DB) {
	_, inside := db.Statement.ConnPool.(gorm.TxCommitter)
	if g.perClient(db) && !inside {
		_ = db.AddError(errRowsOutsideTx)
	}
}

func (g *tenantGuard) setTenantForRaw(db *gorm.DB) {
	if g.perClient(db) {
		setTenantFor(db, false)
	}
}

func (g *tenantGuard) setTenantForWrite(db *gorm.DB) {
	if slices.Contains(g.tables, db.Statement.Table) {
		setTenantFor(db, false)
	}
}

// tenantPool is the connection of one statement while the setting of its client holds.
type tenantPool struct {
	gorm.ConnPool

	outside gorm.ConnPool
	end     func() error // of what went well
	failed  func() error
}

// errRowsOutsideTx says that the rows of a statement would be read after the end of the transaction that has its client.
var errRowsOutsideTx = errors.New("rows of a client outside of a transaction")

// setTenantFor runs a statement on a per-client table in a transaction of its own, unless it is in one already. In that case it
// opens the transaction to all clients for a statement that crossTenant declares.
func setTenantFor(db *gorm.DB, readOnly bool) {
	id, own := clientOf(db.Statement.Context)
	if db.Error != nil || db.DryRun {
		return
	}
	switch pool := db.Statement.ConnPool.(type) {
	case gorm.TxCommitter:
		if declaredCrossTenant(db) {
			before := noTenant
			if own {
				before = id.String()
			}
			bypassRLS(db, before)
		}
	case gorm.TxBeginner:
		if !own {
			return
		}
		tx, err := pool.BeginTx(db.Statement.Context, &sql.TxOptions{ReadOnly: readOnly})
		if db.AddError(err) == nil {
			db.Statement.ConnPool = &tenantPool{tx, db.Statement.ConnPool, tx.Commit, tx.Rollback}
		}
	}
}

// bypassRLS lasts for one statement. When that fails PostgreSQL takes no more of them, and the transaction ends.
func bypassRLS(db *gorm.DB, before string) {
	ctx, tx := db.Statement.Context, db.Statement.ConnPool
	set := func(to string) error {
		_, err := tx.ExecContext(ctx, setTenant, to)
		return err
	}
	if db.AddError(set(allTenants)) == nil {
		db.Statement.ConnPool = &tenantPool{tx, tx, func() error { return set(before) }, func() error { return nil }}
	}
}

// release ends the transaction, or the bypass, that setTenantFor began.
func release(db *gorm.DB) {
	pool, ok := db.Statement.ConnPool.(*tenantPool)
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
	row := s.ready.pool.QueryRowContext(ctx, query, "{"+strings.Join(tablesWithPolicy, ",")+"}")
	if err := row.Scan(&all, &some); err != nil {
		return err
	}
	switch {
	case s.rls && !all:
		return errors.New("row security is asked for, but does not hold for this role: run deploy/rls.sql, and serve as another role than the owner")
	case some && !s.rls:
		return errors.New("the database has row security for this role: serve with --row-level-security")
	}
	return nil
}
