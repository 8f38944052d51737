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

// appPatch is one patch of one app while it is written.
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

// maxWriters bounds the batches of patches that one server has in flight on PostgreSQL, unless batches are by client.
const maxWriters = 4

// newPatchGroup makes the group commit of patches.
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

// writeTogether writes a patch by group commit.
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

// writeAppsSQLite writes a batch in one transaction. A statement that fails does not affect the others.
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

// update runs the UPDATE that gorm's Updates builds from the field map.
func (p *appPatch) update(s *Store, db *gorm.DB) {
	q := p.at.of(db, p.Key).Clauses(returning(patchedColumns...))
	p.now = s.now()
	res := p.fields.patch(q, &p.app, p.by.written(s.notEarlier(p.now)), 0)
	p.changed, p.Err = res.RowsAffected == 1, res.Error
}

// writeAppsPostgres writes a batch in one transaction and one round trip. When a patch meets a locked row, the others are written
// without it. When PostgreSQL refuses the batch for another reason, nothing was written, and each patch is written by itself, so
// that only the bad one fails. When the connection breaks, the batch is in doubt and is not written again.
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

// writeUnlocked writes the patches of a batch whose rows are not locked. Patches that depend on the catalog's revision count as locked,
// since they must not wait for a row while they hold the catalog.
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

// writeAlone writes a patch whose row is locked, within the client's share of the pool. It only waits for the row when the patch
// depends on the catalog's revision: its caller then reads the app again.
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

// onConn runs work, a write, on a pgx connection of gorm's pool. It retries what failed without writing. A broken connection is
// inDoubtError, and not retried.
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
	// Also one round trip. It does not wait long for a locked row, since it holds the catalog.
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

// send sends the statements of one transaction, and rolls back when one fails.
func send(ctx context.Context, conn *pgx.Conn, batch *pgx.Batch) error {
	err := conn.SendBatch(ctx, batch).Close()
	if err != nil && conn.PgConn().TxStatus() != 'I' {
		_, _ = conn.Exec(ctx, "ROLLBACK") // a connection that cannot even do that is given up by the pool
	}
	return err
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
