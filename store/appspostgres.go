package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"gorm.io/gorm"

	"github.com/clientapps/clientapps/store/postgres"
	"github.com/clientapps/clientapps/store/tenant"
)

// postgresApps is the appTable of PostgreSQL. Apps are read and patched most: gorm builds each statement, once, and pgx sends it and
// scans the rows, since gorm and database/sql inspect the type of each value of each row.
type postgresApps struct {
	s  *Store
	db *postgres.DB

	shapes         atomic.Pointer[map[patchShape]*appStatement] // replaced when one is added
	takeStatement  func() (string, error)
	takeToWrite    func() (string, error) // takeStatement for an app that is to be written
	batchStatement func() (string, error)
}

func newPostgresApps(s *Store, db *postgres.DB) *postgresApps {
	t := &postgresApps{s: s, db: db}
	t.shapes.Store(&map[patchShape]*appStatement{})
	t.takeStatement = sync.OnceValues(func() (string, error) { return t.buildTake(false) })
	t.takeToWrite = sync.OnceValues(func() (string, error) { return t.buildTake(true) })
	t.batchStatement = sync.OnceValues(t.buildBatch)
	return t
}

// maxWriters bounds the batches of patches that one server has in flight on PostgreSQL, unless batches are by client.
const maxWriters = 4

func (*postgresApps) writers() int { return maxWriters }

// appColumns is the columns of an app, in the order in which they are scanned.
var appColumns = "client_id, id, catalog_app_id, name_key, version, actor_id, actor_name, request_id, created_at, updated_at, " +
	strings.Join(appFieldNames(), ", ")

// appTotal is one more column, the same in each row: the number of the client's apps. It saves a second query.
const appTotal = ", (SELECT " + sumTotal + " FROM client_app_counts WHERE client_id = ?) AS client_total"

func (t *postgresApps) find(client uuid.UUID, q *gorm.DB, apps *[]App, total *int64) error {
	if q = q.Select(appColumns); total != nil {
		q = q.Select(appColumns+appTotal, client)
	}
	st := q.Session(&gorm.Session{DryRun: true}).Find(&[]App{}).Statement
	if st.Error != nil {
		return st.Error
	}
	return t.read(st.Context, client, apps, total, st.SQL.String(), st.Vars...)
}

// buildTake builds the statement that reads one app. Its parameters are the client, the app and, to write, the client once more.
func (t *postgresApps) buildTake(toWrite bool) (string, error) {
	q := tenant.Template(t.s.read.Session(&gorm.Session{DryRun: true, NewDB: true}), slotClient).Where("id = ?", slotID)
	if toWrite {
		q = ifActive(q, slotClient)
	}
	res := q.Select(appColumns).Find(&[]App{})
	return res.Statement.SQL.String(), res.Error
}

func (t *postgresApps) take(ctx context.Context, key AppKey, toWrite bool) (App, error) {
	client, id := pgtype.UUID{Bytes: key.ClientID, Valid: true}, pgtype.UUID{Bytes: key.ID, Valid: true}
	statement, args := t.takeStatement, []any{&client, &id}
	if toWrite {
		statement, args = t.takeToWrite, append(args, &client)
	}
	sql, err := statement()
	if err != nil {
		return App{}, err
	}
	var room [1]App
	apps := room[:0]
	if err := t.read(ctx, key.ClientID, &apps, nil, sql, args...); err != nil {
		return App{}, err
	}
	if len(apps) == 0 {
		return App{}, gorm.ErrRecordNotFound
	}
	return apps[0], nil
}

// read reads rows of appColumns, followed by appTotal when total is not nil.
func (t *postgresApps) read(ctx context.Context, client uuid.UUID, apps *[]App, total *int64, sql string, args ...any) error {
	return t.s.retry(ctx, func() error {
		return t.db.Lend(ctx, func(conn *pgx.Conn) error {
			if t.s.rls {
				return queryAs(ctx, conn, client, func(rows pgx.Rows) error { return scanApps(rows, apps, total) }, sql, args...)
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

// write writes a batch in one transaction and one round trip. When a patch meets a locked row, the others are written
// without it. When PostgreSQL refuses the batch for another reason, nothing was written, and each patch is written by itself, so
// that only the bad one fails. When the connection breaks, the batch is in doubt and is not written again.
func (t *postgresApps) write(batch []*appPatch) {
	if len(batch) == 1 {
		p := batch[0]
		p.Err = t.onConn(p.Ctx, func(conn *pgx.Conn) error {
			if p.Brief {
				return t.writeBriefly(p.Ctx, conn, p)
			}
			return t.writeOne(p.Ctx, conn, p)
		})
		p.Locked = postgres.LockTimeout(p.Err)
		return
	}
	ctx, cancel := t.s.bounded(context.Background()) // no caller's own deadline can bound what they share
	defer cancel()
	ctx, span := t.s.traceBatch(ctx, batch)
	defer span.End()
	err := t.onConn(ctx, func(conn *pgx.Conn) error { return t.writeBatch(ctx, conn, batch) })
	switch {
	case postgres.LockTimeout(err):
		t.writeUnlocked(ctx, batch)
	case postgres.IsError(err) && !mayHaveCommitted(err) && !unavailable(err):
		for _, p := range batch {
			p.Err = t.onConn(p.Ctx, func(conn *pgx.Conn) error { return t.writeBriefly(p.Ctx, conn, p) })
			if p.Locked = postgres.LockTimeout(p.Err); !p.Locked {
				p.Answer()
			}
		}
	default:
		for _, p := range batch {
			p.Err = err
		}
	}
}

// writeUnlocked writes the patches of a batch whose rows are not locked. Patches that depend on the catalog's revision count as locked,
// since they must not wait for a row while they hold the catalog.
func (t *postgresApps) writeUnlocked(ctx context.Context, batch []*appPatch) {
	var plain, free []*appPatch
	for _, p := range batch {
		if p.Locked = p.at.catalog != 0; !p.Locked {
			plain = append(plain, p)
		}
	}
	if len(plain) == 0 {
		return
	}
	err := t.onConn(ctx, func(conn *pgx.Conn) (err error) {
		if free, err = t.lockFree(ctx, conn, plain); err != nil || len(free) == 0 {
			return err
		}
		return t.writeLocked(ctx, conn, free)
	})
	for _, p := range plain {
		p.Err = err
		p.Locked = postgres.LockTimeout(err) || err == nil && !slices.Contains(free, p)
	}
}

// onConn runs work, a write, on a pgx connection of the pool. It retries what failed without writing. A broken connection is
// inDoubtError, and not retried.
func (t *postgresApps) onConn(ctx context.Context, work func(*pgx.Conn) error) error {
	err := t.onConnOnce(ctx, work)
	if err == nil || !t.retryable(ctx, err) {
		return err // without what the loop below allocates
	}
	return attempts.Do(ctx, func() (again bool, err error) {
		err = t.onConnOnce(ctx, work)
		return t.retryable(ctx, err), err
	})
}

func (t *postgresApps) retryable(ctx context.Context, err error) bool {
	gone := (*inDoubtError)(nil)
	return !errors.As(err, &gone) && t.s.retryable(ctx, err)
}

func (t *postgresApps) onConnOnce(ctx context.Context, work func(*pgx.Conn) error) error {
	return t.db.Lend(ctx, func(conn *pgx.Conn) error {
		err := work(conn)
		if mayHaveCommitted(err) {
			err = &inDoubtError{fence: t.db.FenceConn(conn), cause: err}
		}
		return err
	})
}

func (t *postgresApps) writeOne(ctx context.Context, conn *pgx.Conn, p *appPatch) error {
	st, err := t.statement(p)
	if err != nil {
		return err
	}
	args := p.args(st, t.s.now())
	if p.at.catalog == 0 && t.s.rls {
		return queryAs(ctx, conn, p.Key.ClientID, p.read, st.sql, args...)
	}
	if p.at.catalog == 0 {
		rows, err := conn.Query(ctx, st.sql, args...)
		if err != nil {
			return err
		}
		return p.read(rows)
	}
	// Also one round trip. It does not wait long for a locked row, since it holds the catalog.
	batch := &pgx.Batch{}
	batch.Queue("BEGIN")
	t.queueClient(batch, p.Key.ClientID)
	batch.Queue(holdCatalogBriefly)
	batch.Queue(st.sql, args...).Query(p.read)
	batch.Queue("COMMIT")
	err = postgres.Send(ctx, conn, batch)
	t.s.lockTimeouts.note(lockPathConditional, err)
	return err
}

// writeBriefly is writeOne for a patch that does not wait for a locked row for long.
func (t *postgresApps) writeBriefly(ctx context.Context, conn *pgx.Conn, p *appPatch) error {
	if p.at.catalog != 0 {
		return t.writeOne(ctx, conn, p)
	}
	return t.writeBatch(ctx, conn, []*appPatch{p})
}

// read reads the row that the statement returned, if it changed one.
func (p *appPatch) read(rows pgx.Rows) error {
	defer rows.Close()
	p.changed = false
	for rows.Next() {
		var row patchedRow
		if err := rows.Scan(row.appendTargets(make([]any, 0, len(patchedColumns)))...); err != nil {
			return err
		}
		p.take(&row)
	}
	return rows.Err()
}

// queueClient limits a batch that is one transaction to the rows of the client, with row-level security.
func (t *postgresApps) queueClient(batch *pgx.Batch, client uuid.UUID) {
	if t.s.rls {
		batch.Queue(tenant.SetClient, client.String())
	}
}

// queryAs runs one statement for a client with row-level security. The setting of the client and the statement are one implicit
// transaction and one round trip.
func queryAs(ctx context.Context, conn *pgx.Conn, client uuid.UUID, read func(pgx.Rows) error, sql string, args ...any) error {
	batch := &pgx.Batch{}
	batch.Queue(tenant.SetClient, client.String())
	batch.Queue(sql, args...).Query(read)
	return postgres.Send(ctx, conn, batch)
}
