package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"gorm.io/gorm"
)

// Apps are read most. gorm builds the statement. On PostgreSQL, pgx scans the rows: gorm and database/sql inspect the type of each
// value of each row.

// appRead is the columns of an app, in the order in which they are scanned.
var appRead = "client_id, id, catalog_app_id, name_key, version, actor_id, actor_name, request_id, created_at, updated_at, " +
	strings.Join(appFieldNames(), ", ")

// appTotal is one more column, the same in each row: the number of the client's apps. It saves a second query.
const appTotal = ", (SELECT " + sumTotal + " FROM client_app_counts WHERE client_id = ?) AS client_total"

func (sqliteDialect) findApps(_ *Store, _ uuid.UUID, q *gorm.DB, apps *[]App, _ *int64) error {
	return q.Select(appRead).Find(apps).Error
}

func (postgresDialect) findApps(s *Store, client uuid.UUID, q *gorm.DB, apps *[]App, total *int64) error {
	if q = q.Select(appRead); total != nil {
		q = q.Select(appRead+appTotal, client)
	}
	st := q.Session(&gorm.Session{DryRun: true}).Find(&[]App{}).Statement
	if st.Error != nil {
		return st.Error
	}
	return s.readApps(st.Context, apps, total, st.SQL.String(), st.Vars...)
}

// takeApp reads one app, or returns gorm.ErrRecordNotFound.
func (postgresDialect) takeApp(ctx context.Context, s *Store, key AppKey) (App, error) {
	sql, ok := s.statements.Load("take")
	if !ok {
		dry := s.read.Session(&gorm.Session{DryRun: true, NewDB: true})
		res := dry.Select(appRead).Where("client_id = ? AND id = ?", slotClient, slotID).Find(&[]App{})
		if res.Error != nil {
			return App{}, res.Error
		}
		sql = res.Statement.SQL.String()
		s.statements.Store("take", sql)
	}
	var room [1]App
	apps := room[:0]
	client, id := pgtype.UUID{Bytes: key.ClientID, Valid: true}, pgtype.UUID{Bytes: key.ID, Valid: true}
	if err := s.readApps(ctx, &apps, nil, sql.(string), &client, &id); err != nil { //nolint:errcheck,forcetypeassert // stored above
		return App{}, err
	}
	if len(apps) == 0 {
		return App{}, gorm.ErrRecordNotFound
	}
	return apps[0], nil
}

func (sqliteDialect) takeApp(ctx context.Context, s *Store, key AppKey) (app App, err error) {
	err = s.read.WithContext(ctx).Select(appRead).Where("client_id = ? AND id = ?", key.ClientID, key.ID).Take(&app).Error
	return app, err
}

// readApps reads rows of appRead, followed by appTotal when total is not nil.
func (s *Store) readApps(ctx context.Context, apps *[]App, total *int64, sql string, args ...any) error {
	return s.retry(ctx, func() error {
		return s.lend(ctx, func(conn *pgx.Conn) error {
			if s.rls {
				return queryAsTenant(ctx, conn, func(rows pgx.Rows) error { return scanApps(rows, apps, total) }, sql, args...)
			}
			rows, err := conn.Query(ctx, sql, args...)
			if err != nil {
				return err
			}
			return scanApps(rows, apps, total)
		})
	})
}

func scanApps(rows pgx.Rows, apps *[]App, total *int64) error {
	defer rows.Close()
	*apps = (*apps)[:0]
	var a App
	var client, id, catalogApp, actor pgtype.UUID
	var created, updated pgtype.Timestamptz
	targets := a.appendTargets([]any{
		&client, &id, &catalogApp, &a.NameKey, &a.Version, &actor, &a.ActorName, &a.RequestID, &created, &updated,
	})
	if total != nil {
		targets = append(targets, total)
	}
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		a.ClientID, a.ID, a.CatalogAppID, a.ActorID = client.Bytes, id.Bytes, catalogApp.Bytes, actor.Bytes
		a.CreatedAt, a.UpdatedAt = created.Time, updated.Time
		*apps = append(*apps, a)
	}
	return rows.Err()
}

// pgxDriver is a connection of the pool.
type pgxDriver interface{ Conn() *pgx.Conn }

// lend runs work on a pgx connection of gorm's pool.
func (s *Store) lend(ctx context.Context, work func(*pgx.Conn) error) error {
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
		c, ok := driver.(pgxDriver)
		if !ok {
			return fmt.Errorf("connection is a %T", driver)
		}
		return work(c.Conn())
	})
}
