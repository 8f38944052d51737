package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"gorm.io/gorm"
	"gorm.io/gorm/callbacks"

	"github.com/clientapps/clientapps/store/tenant"
)

// perClient are the tables that hold data of clients: all that have a client_id. The tenant guard covers them.
var perClient = []string{"apps", "app_changes", "client_app_counts", "token_clients"}

// tenantGuard refuses statements on per-client tables that are not limited to one client. It checks the text that goes to the
// database, so that it also finds a condition that gorm dropped while it built the statement.
type tenantGuard struct {
	tables []string
	checks sync.Map // text of a statement -> scopeCheck
	kept   atomic.Int32
}

// scopeCheck is the result for the text of a statement. It is cached, since it depends on nothing else.
type scopeCheck struct {
	perClient bool // names a per-client table
	err       error
}

// Bounds of the cache: the number of texts, and the length of each in bytes. Other texts are checked each time.
const (
	maxChecks      = 1024
	maxCheckedText = 2048
)

// unscopedStatementError says that a statement could reach other clients' rows. It is a fault of the program: HTTP 500.
type unscopedStatementError struct {
	sql   string
	cause error
}

func (e *unscopedStatementError) Error() string {
	return fmt.Sprintf("statement refused: %v, in %.500s", e.cause, e.sql)
}

func (e *unscopedStatementError) Unwrap() error { return e.cause }

// crossTenant marks a statement that reads or writes rows of many clients, with the reason. The guard does not check it.
func crossTenant(db *gorm.DB, why string) *gorm.DB { return db.Set(crossTenantKey, why) }

const crossTenantKey = "clientapps:cross_tenant"

func newTenantGuard() *tenantGuard { return &tenantGuard{tables: perClient} }

// check returns the result for the text of a statement.
func (g *tenantGuard) check(text string) scopeCheck {
	if v, ok := g.checks.Load(text); ok {
		return v.(scopeCheck) //nolint:errcheck,forcetypeassert // nothing else is stored
	}
	v := g.checkText(text)
	if len(text) <= maxCheckedText && g.kept.Load() < maxChecks {
		g.kept.Add(1)
		g.checks.Store(strings.Clone(text), v)
	}
	return v
}

func (g *tenantGuard) checkText(text string) scopeCheck {
	names, err := tenant.Check(text, g.tables)
	if err != nil {
		err = &unscopedStatementError{sql: text, cause: err}
	}
	return scopeCheck{perClient: names, err: err}
}

// register registers the guard for every kind of statement that gorm can send on the two pools, which may be one.
func (g *tenantGuard) register(write, read *gorm.DB) error {
	if write == read {
		return g.registerOn(write)
	}
	return errors.Join(g.registerOn(write), g.registerOn(read))
}

func (g *tenantGuard) registerOn(db *gorm.DB) error {
	on := db.Callback()
	return errors.Join(
		// gorm builds the text of these before it sends them.
		on.Query().Before("gorm:query").Register("tenant:check", g.beforeQuery),
		on.Row().Before("gorm:row").Register("tenant:check", g.beforeQuery),
		on.Raw().Before("gorm:raw").Register("tenant:check", g.beforeRaw),
		// gorm builds and sends these in one step: the guard stands before the pool.
		on.Create().Before("gorm:create").Register("tenant:guard", g.guardPool),
		on.Update().Before("gorm:update").Register("tenant:guard", g.guardPool),
		on.Delete().Before("gorm:delete").Register("tenant:guard", g.guardPool),
		on.Create().After("gorm:create").Register("tenant:unguard", g.unguardPool),
		on.Update().After("gorm:update").Register("tenant:unguard", g.unguardPool),
		on.Delete().After("gorm:delete").Register("tenant:unguard", g.unguardPool),
	)
}

func (g *tenantGuard) beforeQuery(db *gorm.DB) {
	if db.Error == nil {
		callbacks.BuildQuerySQL(db)
	}
	g.beforeRaw(db)
}

func (g *tenantGuard) beforeRaw(db *gorm.DB) {
	if db.Error == nil && !declaredCrossTenant(db) {
		_ = db.AddError(g.check(db.Statement.SQL.String()).err)
	}
}

func declaredCrossTenant(db *gorm.DB) bool {
	_, declared := db.Get(crossTenantKey)
	return declared
}

// guardPool puts the guard before the pool, for one statement.
func (g *tenantGuard) guardPool(db *gorm.DB) {
	if db.Error == nil && !declaredCrossTenant(db) {
		db.Statement.ConnPool = &guardedPool{ConnPool: db.Statement.ConnPool, guard: g}
	}
}

// unguardPool takes it away. A statement that was only to be built is judged here.
func (g *tenantGuard) unguardPool(db *gorm.DB) {
	pool, guarded := db.Statement.ConnPool.(*guardedPool)
	if !guarded {
		return
	}
	db.Statement.ConnPool = pool.ConnPool
	if db.DryRun && db.Error == nil {
		_ = db.AddError(g.check(db.Statement.SQL.String()).err)
	}
}

// guardedPool is a pool with the guard before it.
type guardedPool struct {
	gorm.ConnPool

	guard *tenantGuard
}

func (p *guardedPool) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	if err := p.guard.check(query).err; err != nil {
		return nil, err
	}
	return p.ConnPool.PrepareContext(ctx, query)
}

func (p *guardedPool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := p.guard.check(query).err; err != nil {
		return nil, err
	}
	return p.ConnPool.ExecContext(ctx, query, args...)
}

func (p *guardedPool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := p.guard.check(query).err; err != nil {
		return nil, err
	}
	return p.ConnPool.QueryContext(ctx, query, args...)
}

// QueryRowContext is not used for what gorm writes, and a row cannot carry the refusal: it is that of a canceled query.
func (p *guardedPool) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if p.guard.check(query).err != nil {
		canceled, cancel := context.WithCancel(ctx)
		cancel()
		return p.ConnPool.QueryRowContext(canceled, query, args...)
	}
	return p.ConnPool.QueryRowContext(ctx, query, args...)
}
