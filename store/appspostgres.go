package store

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"gorm.io/gorm"

	"github.com/clientapps/clientapps/store/groupcommit"
	"github.com/clientapps/clientapps/store/postgres"
	"github.com/clientapps/clientapps/store/tenant"
)

// postgresApps is the appTable of PostgreSQL. Apps are read and patched most: gorm builds each statement, once, and pgx sends it and
// scans the rows, since gorm and database/sql inspect the type of each value of each row.
type postgresApps struct {
	*appStatements

	db    *postgres.DB
	reads *groupcommit.Group[AppKey, *appRead]

	readBatchStatement  func() (string, error) // takeStatement for many apps, of either kind
	patchBatchStatement func() (string, error)
}

func newPostgresApps(s *Store, db *postgres.DB, cfg Config) *postgresApps {
	t := &postgresApps{appStatements: newAppStatements(s), db: db}
	t.reads = newReadGroup(t, cfg)
	t.readBatchStatement = sync.OnceValues(t.buildReadBatch)
	t.patchBatchStatement = sync.OnceValues(t.buildPatchBatch)
	return t
}

// maxWriters bounds the batches of patches that one server has in flight on PostgreSQL, unless batches are by client.
const maxWriters = 4

func (*postgresApps) writers() int { return maxWriters }

func (t *postgresApps) readStats() groupcommit.Stats { return t.reads.Stats() }

func (t *postgresApps) close() { t.reads.Close() }

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
	scan := func(rows pgx.Rows) error { return scanApps(rows, apps, total) }
	return t.read(st.Context, client, scan, st.SQL.String(), st.Vars...)
}

// appRead is one read of one app. Reads that wait at the same moment share a statement.
type appRead struct {
	groupcommit.Item[AppKey]

	toWrite    bool // finds no app of a client that is not active
	client, id pgtype.UUID

	app   App
	found bool
}

// newReadGroup makes the group of reads. A statement that is slow, because of the disk, does not hold up the next one.
func newReadGroup(t *postgresApps, cfg Config) *groupcommit.Group[AppKey, *appRead] {
	group := groupcommit.Config[AppKey, *appRead]{
		ReadOnly: true, Batch: t.readBatch, Compare: compareAppKeys, Limit: max(cfg.MaxConns/2, 1), FastLimit: 1,
	}
	if cfg.BatchByClient {
		group.FastLimit = fastPipelines
	}
	return groupcommit.New(group)
}

func (t *postgresApps) take(ctx context.Context, key AppKey, toWrite bool) (App, error) {
	r := &appRead{
		Item: groupcommit.Item[AppKey]{Ctx: ctx, Key: key}, toWrite: toWrite,
		client: pgtype.UUID{Bytes: key.ClientID, Valid: true}, id: pgtype.UUID{Bytes: key.ID, Valid: true},
	}
	if err := t.reads.Do(r); err != nil {
		if errors.Is(err, groupcommit.ErrFull) {
			err = &UnavailableError{reason: ReasonQueue, cause: err}
		}
		return App{}, err
	}
	if !r.found {
		return App{}, gorm.ErrRecordNotFound
	}
	return r.app, nil
}

// readBatch reads the apps of a batch in one round trip.
func (t *postgresApps) readBatch(batch []*appRead) {
	var err error
	if len(batch) == 1 {
		err = t.readEach(batch)
	} else {
		ctx, cancel := t.s.bounded(context.Background()) // no caller's own deadline can bound what they share
		defer cancel()
		ctx, span := traceBatch(ctx, t.s, "read apps", batch)
		defer span.End()
		if t.byClient() {
			err = t.readByClient(ctx, batch)
		} else {
			err = t.queryReads(ctx, batch, t.readBatchStatement, readColumns.Args(batch))
		}
	}
	for _, r := range batch {
		r.Err = err
	}
}

// readEach reads apps one by one.
func (t *postgresApps) readEach(batch []*appRead) error {
	for n, r := range batch {
		statement, args := t.takeStatement, []any{&r.client, &r.id}
		if r.toWrite {
			statement, args = t.takeToWrite, append(args, &r.client)
		}
		if err := t.queryReads(r.Ctx, batch[n:n+1], statement, args); err != nil {
			return err
		}
	}
	return nil
}

func (t *postgresApps) queryReads(ctx context.Context, batch []*appRead, statement func() (string, error), args []any) error {
	sql, err := statement()
	if err != nil {
		return err
	}
	return t.read(ctx, batch[0].Key.ClientID, func(rows pgx.Rows) error { return scanReads(rows, batch) }, sql, args...)
}

// scanReads gives each read its row, if there is one.
func scanReads(rows pgx.Rows, batch []*appRead) error {
	defer rows.Close()
	for _, r := range batch {
		r.found = false
	}
	number := int64(1) // of a read that is alone
	var row appRow
	var targets []any
	if len(batch) > 1 {
		targets = append(targets, &number)
	}
	targets = row.appendTargets(targets)
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		batch[number-1].app, batch[number-1].found = row.toApp(), true
	}
	return rows.Err()
}

// readColumns are what a batch of reads sends.
var readColumns = postgres.UnnestColumns[*appRead]{
	postgres.NewUnnestColumn("read_client_id", "uuid", func(r *appRead) any { return &r.client }),
	postgres.NewUnnestColumn("read_id", "uuid", func(r *appRead) any { return &r.id }),
	postgres.NewUnnestColumn("read_to_write", "boolean", func(r *appRead) any { return r.toWrite }),
}

// buildReadBatch builds the statement that reads any list of apps.
func (t *postgresApps) buildReadBatch() (string, error) {
	client := gorm.Expr(readColumns[0].Name)
	q := tenant.Template(t.s.reader.Session(&gorm.Session{DryRun: true, NewDB: true}), client).
		Table("apps, "+readColumns.Table("read")).
		Where("id = read_id").
		Where("(NOT read_to_write OR "+clientIsActive+")", client)
	res := q.Select("read_number, " + appColumns).Find(&[]App{})
	return res.Statement.SQL.String(), res.Error
}

// read runs a statement that reads rows of one client, or of several without row-level security.
func (t *postgresApps) read(ctx context.Context, client uuid.UUID, scan func(pgx.Rows) error, sql string, args ...any) error {
	return t.s.retryRead(ctx, func() error {
		return t.db.Lend(ctx, func(conn *pgx.Conn) error {
			if t.s.rls {
				return t.queryAs(ctx, conn, client, scan, sql, args...)
			}
			rows, err := conn.Query(ctx, sql, args...)
			if err != nil {
				return err
			}
			return scan(rows)
		})
	})
}

// scanApps reads rows of appColumns, followed by appTotal when total is not nil.
func scanApps(rows pgx.Rows, apps *[]App, total *int64) error {
	defer rows.Close()
	*apps = (*apps)[:0]
	var row appRow
	targets := row.appendTargets(nil)
	if total != nil {
		targets = append(targets, total)
	}
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		*apps = append(*apps, row.toApp())
	}
	return rows.Err()
}

// appRow is a row of appColumns, in pgx's own types where those cost less.
type appRow struct {
	patchedRow

	client, id pgtype.UUID
}

func (r *appRow) appendTargets(targets []any) []any {
	return append(r.patchedRow.appendTargets(targets), &r.client, &r.id, &r.app.NameKey)
}

func (r *appRow) toApp() App {
	app := r.patched()
	app.ClientID, app.ID = r.client.Bytes, r.id.Bytes
	return app
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
	ctx, span := traceBatch(ctx, t.s, "write patches", batch)
	defer span.End()
	if t.byClient() {
		t.writeByClient(ctx, batch)
		return
	}
	err := t.onConn(ctx, func(conn *pgx.Conn) error { return t.writeBatch(ctx, conn, batch) })
	switch {
	case postgres.LockTimeout(err):
		t.writeUnlocked(ctx, batch)
	case postgres.IsError(err) && !mayHaveCommitted(err) && !unavailable(err):
		t.writeEach(batch)
	default:
		for _, p := range batch {
			p.Err = err
		}
	}
}

// fastPipelines is how many round trips may be in flight while none is slow, where each patch or read is a statement: PostgreSQL runs
// the statements of one round trip one after the other.
const fastPipelines = 2

// byClient reports whether no statement may have items of two clients.
func (t *postgresApps) byClient() bool { return t.s.byClient || t.db.Distributed() }

// splitByTransaction splits a batch into those that share a transaction: all of them, or each by itself on a distributed database, where
// a transaction costs more round trips, to one machine or to several.
func splitByTransaction[R any](batch []R, distributed bool) (groups [][]R) {
	if !distributed && len(batch) > 0 {
		return [][]R{batch}
	}
	return slices.Collect(slices.Chunk(batch, 1))
}

// readByClient reads apps in one round trip, with a statement for each.
func (t *postgresApps) readByClient(ctx context.Context, batch []*appRead) error {
	if t.db.Distributed() && t.s.rls {
		return t.readEach(batch)
	}
	take, err := t.takeStatement()
	toWrite, errToWrite := t.takeToWrite()
	if err = errors.Join(err, errToWrite); err != nil {
		return err
	}
	var reads []postgres.Transaction
	for _, group := range splitByTransaction(batch, t.db.Distributed()) {
		var read postgres.Transaction
		var current uuid.UUID
		for n, r := range group {
			s := postgres.Statement{SQL: take, Args: []any{&r.client, &r.id}}
			if r.toWrite {
				s.SQL, s.Args = toWrite, append(s.Args, &r.client)
			}
			s.Read = func(rows pgx.Rows) error { return scanReads(rows, group[n:n+1]) }
			read, current = append(t.appendSetClient(read, r.Key.ClientID, current), s), r.Key.ClientID
		}
		reads = append(reads, read)
	}
	return t.s.retryRead(ctx, func() error {
		return t.db.Lend(ctx, func(conn *pgx.Conn) error {
			var refused []error
			err := postgres.SendTransactions(ctx, conn, reads, func(_ int, err error) { refused = append(refused, err) })
			return errors.Join(append(refused, err)...)
		})
	})
}

// appendSetClient appends the statement that limits a transaction to the rows of a client, with row-level security, unless it is limited
// to the current one already.
func (t *postgresApps) appendSetClient(transaction postgres.Transaction, client, current uuid.UUID) postgres.Transaction {
	if !t.s.rls || client == current {
		return transaction
	}
	sql, args := tenant.SetClient(client, false)
	return append(transaction, postgres.Statement{SQL: sql, Args: args})
}

// writeByClient writes patches in one round trip, with a statement for each. When a patch meets a locked row, the others are written
// without it. What was refused for another reason because it shared a transaction is sent again, each patch in its own.
func (t *postgresApps) writeByClient(ctx context.Context, batch []*appPatch) {
	if t.db.Distributed() {
		single := slices.DeleteFunc(slices.Clone(batch), t.needsBegin)
		refused, _ := t.writeTransactions(ctx, splitByTransaction(single, true))
		several := slices.DeleteFunc(slices.Clone(batch), func(p *appPatch) bool { return !t.needsBegin(p) })
		t.writeEach(append(several, refused...))
		return
	}
	refused, err := t.writeTransactions(ctx, splitByTransaction(batch, false))
	if postgres.LockTimeout(err) {
		t.writeUnlocked(ctx, refused)
		return
	}
	refused, _ = t.writeTransactions(ctx, splitByTransaction(refused, true))
	t.writeEach(refused)
}

// writeTransactions writes patches in one round trip, each group in a transaction, and answers them. It returns those whose transaction
// was refused, and the last such error.
func (t *postgresApps) writeTransactions(ctx context.Context, groups [][]*appPatch) (refused []*appPatch, cause error) {
	if len(groups) == 0 {
		return nil, nil
	}
	err := t.onConn(ctx, func(conn *pgx.Conn) error {
		transactions := make([]postgres.Transaction, len(groups))
		for n, patches := range groups {
			var err error
			if transactions[n], err = t.patchTransaction(patches); err != nil {
				return err
			}
		}
		fence, decided, inDoubt := t.db.FenceConn(conn), 0, false
		err := postgres.SendTransactions(ctx, conn, transactions, func(n int, err error) {
			t.s.lockTimeoutCounts.note(lockPathBatch, err)
			decided, inDoubt = n+1, inDoubt || mayHaveCommitted(err)
			if retry := t.decide(groups[n], err, fence); len(retry) > 0 {
				refused, cause = append(refused, retry...), err
			}
		})
		groups = groups[decided:]
		if inDoubt {
			_ = conn.Close(ctx) // nobody may use it while a fence ends it
		}
		return err
	})
	for _, patches := range groups { // that were not decided
		for _, p := range patches {
			p.Err = err
		}
	}
	return refused, cause
}

// decide answers the patches of a transaction, or returns them to be written again, since the transaction was refused.
func (t *postgresApps) decide(patches []*appPatch, err error, fence func(context.Context) error) (refused []*appPatch) {
	switch {
	case mayHaveCommitted(err):
		for _, p := range patches { // which are answered when the connection is not needed any more
			p.Err = &inDoubtError{fence: fence, cause: err}
		}
		return nil
	case len(patches) == 1 && postgres.LockTimeout(err):
		patches[0].Err, patches[0].Locked = err, true
		return nil
	case err != nil && !unavailable(err) || postgres.LockTimeout(err):
		return patches
	}
	for _, p := range patches {
		p.Err = err
		p.Answer()
	}
	return nil
}

// needsBegin reports whether a patch is more than one statement on a distributed database: without BEGIN, Citus would commit each by itself.
func (t *postgresApps) needsBegin(p *appPatch) bool {
	return t.db.Distributed() && (t.s.rls || p.expected.catalog != 0)
}

// pipelineLockTimeoutSQL does what shortLockTimeoutSQL does, in a pipeline without BEGIN, where PostgreSQL ignores SET LOCAL with a
// warning.
const pipelineLockTimeoutSQL = "SELECT set_config('lock_timeout', '" + shortLockTimeout + "', true)"

// patchTransaction is a transaction with a statement for each patch, in the order of their keys. It does not wait for a locked row for
// long: on a distributed database, the machines have a lock_timeout.
func (t *postgresApps) patchTransaction(patches []*appPatch) (transaction postgres.Transaction, err error) {
	now := t.s.now()
	if !t.db.Distributed() {
		transaction = append(transaction, postgres.Statement{SQL: pipelineLockTimeoutSQL})
	}
	if slices.ContainsFunc(patches, func(p *appPatch) bool { return p.expected.catalog != 0 }) {
		sql, args := t.db.SharedLock(revisionLock, patches[0].Key.ClientID)
		transaction = append(transaction, postgres.Statement{SQL: sql, Args: args})
	}
	var current uuid.UUID
	for _, p := range patches {
		st, err := t.statement(p)
		if err != nil {
			return nil, err
		}
		transaction, current = t.appendSetClient(transaction, p.Key.ClientID, current), p.Key.ClientID
		transaction = append(transaction, postgres.Statement{SQL: st.sql, Args: p.args(st, now), Read: p.scanRow})
	}
	return transaction, nil
}

// sendPatch writes one patch as writeByClient does.
func (t *postgresApps) sendPatch(ctx context.Context, conn *pgx.Conn, p *appPatch) error {
	transaction, err := t.patchTransaction([]*appPatch{p})
	if err != nil {
		return err
	}
	var refused error
	err = postgres.SendTransactions(ctx, conn, []postgres.Transaction{transaction}, func(_ int, err error) { refused = err })
	return cmp.Or(err, refused)
}

// writeEach writes patches one by one, each in a transaction of its own that does not wait for a locked row for long.
func (t *postgresApps) writeEach(patches []*appPatch) {
	for _, p := range patches {
		p.Err = t.onConn(p.Ctx, func(conn *pgx.Conn) error { return t.writeBriefly(p.Ctx, conn, p) })
		if p.Locked = postgres.LockTimeout(p.Err); !p.Locked {
			p.Answer()
		}
	}
}

// writeUnlocked writes the patches of a batch whose rows are not locked. Patches that depend on the catalog's revision count as locked,
// since they must not wait for a row while they hold the catalog.
func (t *postgresApps) writeUnlocked(ctx context.Context, batch []*appPatch) {
	var plain, available []*appPatch
	for _, p := range batch {
		if p.Locked = p.expected.catalog != 0; !p.Locked {
			plain = append(plain, p)
		}
	}
	if len(plain) == 0 {
		return
	}
	err := t.onConn(ctx, func(conn *pgx.Conn) (err error) {
		if available, err = t.lockAvailable(ctx, conn, plain); err != nil || len(available) == 0 {
			return err
		}
		return t.writeLocked(ctx, conn, available)
	})
	for _, p := range plain {
		p.Err = err
		p.Locked = postgres.LockTimeout(err) || err == nil && !slices.Contains(available, p)
	}
}

// onConn runs work, a write, on a pgx connection of the pool. It retries what failed without writing. A broken connection is
// inDoubtError, and not retried.
func (t *postgresApps) onConn(ctx context.Context, work func(*pgx.Conn) error) error {
	err := t.onConnOnce(ctx, work)
	if err == nil || !t.retryable(ctx, err) {
		return err // without what the loop below allocates
	}
	return statementRetry.Do(ctx, func() (retryable bool, err error) {
		err = t.onConnOnce(ctx, work)
		return t.retryable(ctx, err), err
	})
}

func (t *postgresApps) retryable(ctx context.Context, err error) bool {
	inDoubt := (*inDoubtError)(nil)
	return !errors.As(err, &inDoubt) && t.s.retryable(ctx, err)
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
	if p.expected.catalog == 0 && t.s.rls {
		return t.queryAs(ctx, conn, p.Key.ClientID, p.scanRow, st.sql, args...)
	}
	if p.expected.catalog == 0 {
		rows, err := conn.Query(ctx, st.sql, args...)
		if err != nil {
			return err
		}
		return p.scanRow(rows)
	}
	// Also one round trip. It does not wait long for a locked row, since it holds the catalog.
	batch := &pgx.Batch{}
	batch.Queue("BEGIN")
	t.queueClient(batch, p.Key.ClientID)
	batch.Queue(shortLockTimeoutSQL)
	t.queueLockCatalogShared(batch, p.Key.ClientID)
	batch.Queue(st.sql, args...).Query(p.scanRow)
	batch.Queue("COMMIT")
	err = postgres.Send(ctx, conn, batch)
	t.s.lockTimeoutCounts.note(lockPathConditional, err)
	return err
}

// writeBriefly is writeOne for a patch that does not wait for a locked row for long.
func (t *postgresApps) writeBriefly(ctx context.Context, conn *pgx.Conn, p *appPatch) error {
	switch {
	case p.expected.catalog != 0 || t.needsBegin(p):
		return t.writeOne(ctx, conn, p)
	case t.byClient():
		return t.sendPatch(ctx, conn, p)
	}
	return t.writeBatch(ctx, conn, []*appPatch{p})
}

// scanRow reads the row that the statement returned, if it changed one.
func (p *appPatch) scanRow(rows pgx.Rows) error {
	defer rows.Close()
	p.changed = false
	for rows.Next() {
		var row patchedRow
		if err := rows.Scan(row.appendTargets(make([]any, 0, len(patchedColumns)))...); err != nil {
			return err
		}
		p.setResult(&row)
	}
	return rows.Err()
}

// queueClient limits a batch that is one transaction to the rows of the client, with row-level security.
func (t *postgresApps) queueClient(batch *pgx.Batch, client uuid.UUID) {
	if t.s.rls {
		query, args := tenant.SetClient(client, t.db.Distributed())
		batch.Queue(query, args...)
	}
}

// queueLockCatalogShared takes a shared lock of the catalog's revision until the batch's transaction ends.
func (t *postgresApps) queueLockCatalogShared(batch *pgx.Batch, client uuid.UUID) {
	sql, args := t.db.SharedLock(revisionLock, client)
	batch.Queue(sql, args...)
}

// queryAs runs one statement for a client with row-level security. The setting of the client and the statement are one implicit
// transaction and one round trip. Citus needs to be told of the transaction.
func (t *postgresApps) queryAs(ctx context.Context, conn *pgx.Conn, client uuid.UUID, read func(pgx.Rows) error, sql string, args ...any) error {
	batch := &pgx.Batch{}
	distributed := t.db.Distributed()
	if distributed {
		batch.Queue("BEGIN")
	}
	t.queueClient(batch, client)
	batch.Queue(sql, args...).Query(read)
	if distributed {
		batch.Queue("COMMIT")
	}
	return postgres.Send(ctx, conn, batch)
}
