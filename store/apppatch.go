package store

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"

	"github.com/clientapps/clientapps/store/groupcommit"
)

// appPatch is one patch of one app on its way to the database.
type appPatch struct {
	groupcommit.Item[AppKey]

	fields Fields
	by     Actor
	at     expectedVersion

	app     App       // as it is afterwards
	now     time.Time // of the write
	changed bool
	params  appParams
}

// maxWriters is how many transactions of patches one server has in flight on PostgreSQL, unless they are by client.
const maxWriters = 4

// newPatchGroup makes the group that all patches of apps go through.
func newPatchGroup(s *Store, cfg Config) *groupcommit.Group[AppKey, *appPatch] {
	write, limit := s.db.writer(s)
	group := groupcommit.Config[AppKey, *appPatch]{
		Batch: write, Alone: s.writeAlone, Compare: compareAppKeys, Limit: limit, FastLimit: 1,
	}
	if cfg.BatchByClient {
		// Smaller transactions, each for one of many machines: more of them have to be in flight.
		group.SameBatch = func(a, b AppKey) bool { return a.ClientID == b.ClientID }
		group.Limit = max(limit, cfg.MaxConns/2)
		group.FastLimit = group.Limit
	}
	return groupcommit.New(group)
}

func compareAppKeys(a, b AppKey) int {
	return cmp.Or(compareIDs(a.ClientID, b.ClientID), compareIDs(a.ID, b.ID))
}

// writeTogether writes a patch with others that wait at the same moment.
func (s *Store) writeTogether(p *appPatch) error {
	err := s.patches.Do(p)
	if err == nil {
		return nil // before errors.As allocates
	}
	if panicked := (*groupcommit.PanicError)(nil); errors.As(err, &panicked) {
		return &InDoubtError{cause: panicked}
	}
	if errors.Is(err, groupcommit.ErrFull) {
		return &UnavailableError{reason: ReasonQueue, cause: err}
	}
	return err
}

// writeAppsSQLite writes patches in one transaction of the one writer. A statement that fails leaves the others alone.
func (s *Store) writeAppsSQLite(batch []*appPatch) {
	if len(batch) == 1 {
		p := batch[0]
		if p.update(s, s.write.WithContext(p.Ctx)); mayHaveCommitted(p.Err) {
			p.Err = &inDoubtError{cause: p.Err} // also when its time was up before it had the connection
		}
		return
	}
	ctx, cancel := s.bounded(context.Background()) // no caller's own deadline can bound what they share
	defer cancel()
	ctx, span := s.traceBatch(ctx, batch)
	defer span.End()
	_, committing, err := s.tryTx(ctx, func(tx *gorm.DB) error {
		for _, p := range batch {
			p.update(s, tx)
		}
		return nil
	})
	if committing && mayHaveCommitted(err) {
		err = &inDoubtError{cause: err}
	}
	if err != nil {
		for _, p := range batch {
			p.Err = err
		}
	}
}

// update runs the statement through gorm, as its Updates builds it of the field map.
func (p *appPatch) update(s *Store, db *gorm.DB) {
	q := p.at.of(db, p.Key).Clauses(returning(patchedColumns...))
	p.now = s.now()
	res := p.fields.patch(q, &p.app, p.by.written(s.notEarlier(p.now)), 0)
	p.changed, p.Err = res.RowsAffected == 1, res.Error
}

// writeAppsPostgres writes patches in one transaction and one round trip. When PostgreSQL refuses one of them, none was
// written: all but the locked ones are written without these, or each by itself, so that a bad statement fails alone. When
// the connection is lost nobody knows yet what was written, and to write it again might be to write it twice.
func (s *Store) writeAppsPostgres(batch []*appPatch) {
	if len(batch) == 1 {
		p := batch[0]
		p.Err = s.onConn(p.Ctx, func(conn *pgx.Conn) error {
			if p.Brief {
				return s.writeBriefly(p.Ctx, conn, p)
			}
			return s.writeOne(p.Ctx, conn, p)
		})
		p.Locked = lockTimeout(p.Err)
		return
	}
	ctx, cancel := s.bounded(context.Background()) // no caller's own deadline can bound what they share
	defer cancel()
	ctx, span := s.traceBatch(ctx, batch)
	defer span.End()
	err := s.onConn(ctx, func(conn *pgx.Conn) error { return s.writeBatch(ctx, conn, batch) })
	refused := (*pgconn.PgError)(nil)
	switch {
	case lockTimeout(err):
		s.writeUnlocked(ctx, batch)
	case errors.As(err, &refused) && !mayHaveCommitted(err) && !unavailable(err):
		for _, p := range batch {
			p.Err = s.onConn(p.Ctx, func(conn *pgx.Conn) error { return s.writeBriefly(p.Ctx, conn, p) })
			if p.Locked = lockTimeout(p.Err); !p.Locked {
				p.Answer()
			}
		}
	default:
		for _, p := range batch {
			p.Err = err
		}
	}
}

// writeUnlocked writes a batch again, in which somebody else holds a row, without the patches that would have to wait. Those
// that are bound to the catalog's revision wait for nothing while they hold that: they count as locked.
func (s *Store) writeUnlocked(ctx context.Context, batch []*appPatch) {
	var plain, free []*appPatch
	for _, p := range batch {
		if p.Locked = p.at.catalog != 0; !p.Locked {
			plain = append(plain, p)
		}
	}
	if len(plain) == 0 {
		return
	}
	err := s.onConn(ctx, func(conn *pgx.Conn) (err error) {
		if free, err = s.lockFree(ctx, conn, plain); err != nil || len(free) == 0 {
			return err
		}
		return s.writeLocked(ctx, conn, free)
	})
	for _, p := range plain {
		p.Err = err
		p.Locked = lockTimeout(err) || err == nil && !slices.Contains(free, p)
	}
}

// writeAlone writes a patch whose row somebody else holds, within the client's share of the pool. One that is bound to the
// catalog's revision is not written: its caller looks again when the row is free.
func (s *Store) writeAlone(p *appPatch) {
	p.Err, p.changed = nil, false
	if p.at.catalog != 0 {
		p.Err = s.awaitApp(p.Ctx, p.Key)
		return
	}
	p.Err = s.inTx(p.Ctx, clientShare(p.Key.ClientID), p.wrote, func(tx *gorm.DB) error {
		p.update(s, tx)
		return p.Err
	})
}

// onConn lends a connection of gorm's pool as what it is underneath. work is a write: it runs again when it was refused for
// a reason that passes, but not when its connection was lost, which is inDoubtError.
func (s *Store) onConn(ctx context.Context, work func(*pgx.Conn) error) error {
	gone := (*inDoubtError)(nil)
	for try := 1; ; try++ {
		err := s.onConnOnce(ctx, work)
		if try == maxAttempts || errors.As(err, &gone) || !s.retryable(ctx, err) {
			return err
		}
	}
}

func (s *Store) onConnOnce(ctx context.Context, work func(*pgx.Conn) error) error {
	return s.lend(ctx, func(conn *pgx.Conn) error {
		err := work(conn)
		if mayHaveCommitted(err) {
			err = &inDoubtError{on: backendOf(conn), cause: err}
		}
		return err
	})
}

func (s *Store) writeOne(ctx context.Context, conn *pgx.Conn, p *appPatch) error {
	st, err := s.statement(p)
	if err != nil {
		return err
	}
	args := p.args(st, s.now())
	if p.at.catalog == 0 && s.rls {
		return queryAsTenant(ctx, conn, p.read, st.sql, args...)
	}
	if p.at.catalog == 0 {
		rows, err := conn.Query(ctx, st.sql, args...)
		if err != nil {
			return err
		}
		return p.read(rows)
	}
	// One round trip, too. It does not wait for a locked row, since it holds the catalog.
	batch := &pgx.Batch{}
	batch.Queue("BEGIN")
	s.queueSetTenant(batch, p.Key.ClientID)
	batch.Queue(holdCatalogBriefly)
	batch.Queue(st.sql, args...).Query(p.read)
	batch.Queue("COMMIT")
	err = send(ctx, conn, batch)
	s.counts.lockTimeouts.note(lockPathConditional, err)
	return err
}

// writeBriefly is writeOne for a patch that does not wait for a locked row for long.
func (s *Store) writeBriefly(ctx context.Context, conn *pgx.Conn, p *appPatch) error {
	if p.at.catalog != 0 {
		return s.writeOne(ctx, conn, p)
	}
	return s.writeBatch(ctx, conn, []*appPatch{p})
}

// send sends the statements of one transaction, and ends it when one fails.
func send(ctx context.Context, conn *pgx.Conn, batch *pgx.Batch) error {
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
		var row patchedRow
		if err := rows.Scan(row.appendTargets(make([]any, 0, len(patchedColumns)))...); err != nil {
			return err
		}
		p.take(&row)
	}
	return rows.Err()
}
