package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// batchTimeout bounds a transaction that several patches share: no caller's own deadline can.
const batchTimeout = 10 * time.Second

// writeAppsSQLite writes patches in one transaction of the one writer. A statement that fails leaves the others alone.
func (s *Store) writeAppsSQLite(batch []*appPatch) {
	if len(batch) == 1 {
		batch[0].update(s.write.WithContext(batch[0].ctx), s.now())
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), batchTimeout)
	defer cancel()
	err := s.inTx(ctx, func(tx *gorm.DB) error {
		for _, p := range batch {
			p.update(tx, s.now())
		}
		return nil
	})
	if err != nil {
		for _, p := range batch {
			p.err = err
		}
	}
}

// update runs the statement through gorm, as its Updates builds it of the field map.
func (p *appPatch) update(db *gorm.DB, now time.Time) {
	q := p.at.of(db, p.key).Clauses(clause.Returning{Columns: appColumns})
	res := p.fields.patch(q, &p.app, p.by.written(now), 0)
	p.now, p.changed, p.err = now, res.RowsAffected == 1, res.Error
}

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
	rows, err := conn.Query(ctx, st.sql, p.args(st, s.now())...)
	if err != nil {
		return err
	}
	defer rows.Close()
	p.changed = false
	for rows.Next() {
		var row patchedRow
		if err := rows.Scan(row.targets()...); err != nil {
			return err
		}
		p.take(row)
	}
	return rows.Err()
}
