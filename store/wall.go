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
)

// perClient are the tables that hold data of clients: all that have a client_id. The wall stands before them.
var perClient = []string{"apps", "app_changes", "client_app_counts", "token_clients"}

// wall refuses statements on per-client tables that are not bound to a client. It reads the text that goes to the database,
// however that was made: a condition that gorm lost on the way is missing there, and so is one that nobody wrote.
type wall struct {
	tables   []string
	verdicts sync.Map // text of a statement -> verdict
	kept     atomic.Int32
}

// verdict is what the wall says of a text, which is the same every time.
type verdict struct {
	perClient bool // names a per-client table
	err       error
}

// Bounds of what the wall remembers: so many texts, none longer. What is beyond is read anew each time.
const (
	maxVerdicts    = 1024
	maxVerdictText = 2048
)

// unboundError says that the code would have reached into other clients' data. It is a fault, and answered as one.
type unboundError struct {
	sql   string
	cause error
}

func (e *unboundError) Error() string {
	return fmt.Sprintf("statement refused: %v, in %.500s", e.cause, e.sql)
}

func (e *unboundError) Unwrap() error { return e.cause }

// acrossClients declares a statement that is about the data of many clients, and why. The wall lets it pass.
func acrossClients(db *gorm.DB, why string) *gorm.DB { return db.Set(acrossKey, why) }

const acrossKey = "clientapps:across_clients"

func newWall() *wall { return &wall{tables: perClient} }

// read judges the text of a statement.
func (w *wall) read(text string) verdict {
	if v, ok := w.verdicts.Load(text); ok {
		return v.(verdict) //nolint:errcheck,forcetypeassert // nothing else is stored
	}
	v := w.judge(text)
	if len(text) <= maxVerdictText && w.kept.Load() < maxVerdicts {
		w.kept.Add(1)
		w.verdicts.Store(strings.Clone(text), v)
	}
	return v
}

func (w *wall) judge(text string) verdict {
	var v verdict
	lower := strings.ToLower(text)
	for _, table := range w.tables {
		v.perClient = v.perClient || strings.Contains(lower, table)
	}
	if !v.perClient {
		return v
	}
	nodes, err := parseSQL(lower)
	if err == nil {
		err = checkSQL(nodes, w.tables)
		v.perClient = mentions(nodes, w.tables)
	}
	if err != nil {
		v.err = &unboundError{sql: text, cause: err}
	}
	return v
}

// mentions tells a per-client table from one whose name only has that in it.
func mentions(nodes []sqlNode, tables []string) bool {
	for _, table := range tables {
		if declares(nodes, table) {
			return true
		}
	}
	return false
}

// raise builds the wall before every kind of statement that gorm can send on the two pools, which may be one.
func (w *wall) raise(write, read *gorm.DB) error {
	if write == read {
		return w.before(write)
	}
	return errors.Join(w.before(write), w.before(read))
}

func (w *wall) before(db *gorm.DB) error {
	on := db.Callback()
	return errors.Join(
		// The text of these is known beforehand.
		on.Query().Before("gorm:query").Register("wall:read", w.beforeQuery),
		on.Row().Before("gorm:row").Register("wall:read", w.beforeQuery),
		on.Raw().Before("gorm:raw").Register("wall:read", w.beforeRaw),
		// That of these comes to be while gorm sends them.
		on.Create().Before("gorm:create").Register("wall:stand", w.stand),
		on.Update().Before("gorm:update").Register("wall:stand", w.stand),
		on.Delete().Before("gorm:delete").Register("wall:stand", w.stand),
		on.Create().After("gorm:create").Register("wall:leave", w.leave),
		on.Update().After("gorm:update").Register("wall:leave", w.leave),
		on.Delete().After("gorm:delete").Register("wall:leave", w.leave),
	)
}

func (w *wall) beforeQuery(db *gorm.DB) {
	if db.Error == nil {
		callbacks.BuildQuerySQL(db)
	}
	w.beforeRaw(db)
}

func (w *wall) beforeRaw(db *gorm.DB) {
	if db.Error == nil && !declaredAcross(db) {
		_ = db.AddError(w.read(db.Statement.SQL.String()).err)
	}
}

func declaredAcross(db *gorm.DB) bool {
	_, declared := db.Get(acrossKey)
	return declared
}

// stand puts the wall before the pool, for one statement.
func (w *wall) stand(db *gorm.DB) {
	if db.Error == nil && !declaredAcross(db) {
		db.Statement.ConnPool = &walledPool{ConnPool: db.Statement.ConnPool, wall: w}
	}
}

// leave takes it away. A statement that was only to be built is judged here.
func (w *wall) leave(db *gorm.DB) {
	pool, walled := db.Statement.ConnPool.(*walledPool)
	if !walled {
		return
	}
	db.Statement.ConnPool = pool.ConnPool
	if db.DryRun && db.Error == nil {
		_ = db.AddError(w.read(db.Statement.SQL.String()).err)
	}
}

// walledPool is a pool with the wall before it.
type walledPool struct {
	gorm.ConnPool

	wall *wall
}

func (p *walledPool) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	if err := p.wall.read(query).err; err != nil {
		return nil, err
	}
	return p.ConnPool.PrepareContext(ctx, query)
}

func (p *walledPool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := p.wall.read(query).err; err != nil {
		return nil, err
	}
	return p.ConnPool.ExecContext(ctx, query, args...)
}

func (p *walledPool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := p.wall.read(query).err; err != nil {
		return nil, err
	}
	return p.ConnPool.QueryContext(ctx, query, args...)
}

// QueryRowContext is not used for what gorm writes, and a row cannot carry the refusal: it is that of a canceled query.
func (p *walledPool) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if p.wall.read(query).err != nil {
		canceled, cancel := context.WithCancel(ctx)
		cancel()
		return p.ConnPool.QueryRowContext(canceled, query, args...)
	}
	return p.ConnPool.QueryRowContext(ctx, query, args...)
}
