package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// batchTimeout bounds a transaction that several patches share: no caller's own deadline can.
const batchTimeout = 10 * time.Second

// batchLockTimeout is how long such a transaction waits for a row that somebody else holds, before its patches are written
// one by one, so that only the one concerned goes on waiting.
const batchLockTimeout = "SET LOCAL lock_timeout = '100ms'"

// update is the statement that every patch of an app is, on both databases, as gorm's Updates builds it of the field map.
func (p *appPatch) update(db *gorm.DB, row *App, also map[string]any) *gorm.DB {
	q := p.at.of(db, p.key).Clauses(clause.Returning{Columns: appColumns})
	return p.fields.patch(q, row, also, 0)
}

// writeAppsSQLite writes patches in one transaction of the one writer. A statement that fails leaves the others alone.
func (s *Store) writeAppsSQLite(batch []*appPatch) {
	if len(batch) == 1 {
		p := batch[0]
		p.set(p.update(s.write.WithContext(p.ctx), &p.app, s.written(p.by)))
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), batchTimeout)
	defer cancel()
	err := s.inTx(ctx, func(tx *gorm.DB) error {
		for _, p := range batch {
			p.set(p.update(tx, &p.app, s.written(p.by)))
		}
		return nil
	})
	if err != nil {
		for _, p := range batch {
			p.err = err
		}
	}
}

func (p *appPatch) set(res *gorm.DB) { p.changed, p.err = res.RowsAffected == 1, res.Error }

// writeAppsPostgres writes patches in one transaction and one round trip. When PostgreSQL refuses one of them, none was
// written, and each is written by itself: a bad statement, or a row that is locked for long, fails alone. When the
// connection is lost nobody knows what was written, and to write it again would be to write it twice.
func (s *Store) writeAppsPostgres(batch []*appPatch) {
	one := func(p *appPatch) {
		p.err = s.onConn(p.ctx, func(conn *pgx.Conn) error { return s.writeOne(p.ctx, conn, p) })
	}
	if len(batch) == 1 {
		one(batch[0])
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), batchTimeout)
	defer cancel()
	err := s.onConn(ctx, func(conn *pgx.Conn) error { return s.writeBatch(ctx, conn, batch) })
	refused := (*pgconn.PgError)(nil)
	again := errors.As(err, &refused) && !unavailable(err)
	for _, p := range batch {
		if p.err = err; again {
			one(p)
		}
	}
}

// onConn lends a connection of gorm's pool as what it is underneath.
func (s *Store) onConn(ctx context.Context, work func(*pgx.Conn) error) error {
	pool, err := s.write.DB()
	if err != nil {
		return err
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // back to the pool
	return conn.Raw(func(driver any) error {
		c, ok := driver.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("connection is a %T", driver)
		}
		return work(c.Conn())
	})
}

func (s *Store) writeOne(ctx context.Context, conn *pgx.Conn, p *appPatch) error {
	st, err := s.statement(p)
	if err != nil {
		return err
	}
	rows, err := conn.Query(ctx, st.sql, st.args(p, s.now())...)
	if err != nil {
		return err
	}
	return p.read(rows)
}

func (s *Store) writeBatch(ctx context.Context, conn *pgx.Conn, patches []*appPatch) error {
	now := s.now()
	batch := &pgx.Batch{}
	batch.Queue("BEGIN")
	batch.Queue(batchLockTimeout)
	for _, p := range patches {
		st, err := s.statement(p)
		if err != nil {
			return err
		}
		batch.Queue(st.sql, st.args(p, now)...).Query(p.read)
	}
	batch.Queue("COMMIT")
	err := conn.SendBatch(ctx, batch).Close()
	if err != nil && conn.PgConn().TxStatus() != 'I' {
		_, _ = conn.Exec(ctx, "ROLLBACK") // a connection that cannot even do that is given up by the pool
	}
	return err
}

// read takes the row that the statement returned, if it changed one.
func (p *appPatch) read(rows pgx.Rows) error {
	defer rows.Close()
	p.changed = false
	for rows.Next() {
		a := &p.app
		err := rows.Scan((*[16]byte)(&a.ClientID), (*[16]byte)(&a.ID), (*[16]byte)(&a.CatalogAppID), &a.NameKey,
			&a.IsFavorite, &a.IsApproved, &a.LicenseCount, &a.Version, (*[16]byte)(&a.ActorID), &a.ActorName, &a.RequestID,
			&a.CreatedAt, &a.UpdatedAt)
		if err != nil {
			return err
		}
		p.changed = true
	}
	return rows.Err()
}

// appColumns is what read scans, in its order.
var appColumns = []clause.Column{
	{Name: "client_id"},
	{Name: "id"},
	{Name: "catalog_app_id"},
	{Name: "name_key"},
	{Name: "is_favorite"},
	{Name: "is_approved"},
	{Name: "license_count"},
	{Name: "version"},
	{Name: "actor_id"},
	{Name: "actor_name"},
	{Name: "request_id"},
	{Name: "created_at"},
	{Name: "updated_at"},
}

// appStatement is the text that gorm builds for one shape of patch, and which value of a patch each parameter takes.
type appStatement struct {
	sql   string
	slots []slot
}

// slot names a value of a patch. In place of the value itself it lets gorm show where it puts it.
type slot string

const (
	slotClient   slot = "client_id"
	slotID       slot = "id"
	slotActor    slot = "actor_id"
	slotName     slot = "actor_name"
	slotRequest  slot = "request_id"
	slotNow      slot = "updated_at"
	slotVersion  slot = "version"
	slotRevision slot = "revision"
)

// statement returns the statement for a patch of this shape: which columns it sets, and what it is bound to. gorm builds
// each shape once.
func (s *Store) statement(p *appPatch) (*appStatement, error) {
	shape := p.shape()
	if st, ok := s.statements.Load(shape); ok {
		return st.(*appStatement), nil //nolint:errcheck,forcetypeassert // nothing else is stored
	}
	dry := s.write.Session(&gorm.Session{DryRun: true, NewDB: true})
	q := dry.Where("client_id = ? AND id = ?", slotClient, slotID)
	if p.at.catalog != 0 {
		q = q.Where("(SELECT revision FROM catalog_state WHERE id = 1) = ?", slotRevision)
	}
	if p.at.row != 0 {
		q = q.Where("version = ?", slotVersion)
	}
	fields := Fields{}
	for column := range p.fields {
		fields[column] = slot(column)
	}
	res := fields.patch(q.Clauses(clause.Returning{Columns: appColumns}), &App{}, map[string]any{
		"actor_id": slotActor, "actor_name": slotName, "request_id": slotRequest, "updated_at": slotNow,
	}, 0)
	if res.Error != nil {
		return nil, res.Error
	}
	st := &appStatement{sql: res.Statement.SQL.String()}
	for _, v := range res.Statement.Vars {
		st.slots = append(st.slots, v.(slot)) //nolint:errcheck,forcetypeassert // what was put in above
	}
	s.statements.Store(shape, st)
	return st, nil
}

// shape is what tells one statement from another.
func (p *appPatch) shape() string {
	var shape strings.Builder
	for _, column := range [...]Column{ColumnIsApproved, ColumnIsFavorite, ColumnLicenseCount} {
		if _, ok := p.fields[column]; ok {
			shape.WriteString(string(column))
		}
	}
	if p.at.row != 0 {
		shape.WriteByte('v')
	}
	if p.at.catalog != 0 {
		shape.WriteByte('c')
	}
	return shape.String()
}

func (st *appStatement) args(p *appPatch, now time.Time) []any {
	args := make([]any, len(st.slots))
	for i, name := range st.slots {
		switch name {
		case slotClient:
			args[i] = [16]byte(p.key.ClientID)
		case slotID:
			args[i] = [16]byte(p.key.ID)
		case slotActor:
			args[i] = [16]byte(p.by.ID)
		case slotName:
			args[i] = p.by.Name
		case slotRequest:
			args[i] = p.by.RequestID
		case slotNow:
			args[i] = now
		case slotVersion:
			args[i] = p.at.row
		case slotRevision:
			args[i] = p.at.catalog
		default:
			args[i] = p.fields[Column(name)]
		}
	}
	return args
}
