package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/clientapps/clientapps/store/postgres"
	"github.com/clientapps/clientapps/store/tenant"
)

// patch updates a row if one of the fields differs. No row is affected when none differs, when key selects none, or when the row has
// another version. The row that gorm fills must not be used then: it has the new values although nothing was written.
func (f Fields) patch(key *gorm.DB, row any, extra map[string]any, version int64) *gorm.DB {
	differs := make([]string, 0, len(f))
	values := make([]any, 0, len(f))
	for _, column := range slices.Sorted(maps.Keys(f)) {
		differs = append(differs, string(column)+" IS DISTINCT FROM ?")
		values = append(values, f[column])
	}
	if version != 0 {
		key = key.Where("version = ?", version)
	}
	return f.update(key.Where("("+strings.Join(differs, " OR ")+")", values...), row, extra)
}

// update is the one statement that changes a row. It sets fields of the row that key selects, and the columns that change with every
// write.
func (f Fields) update(key *gorm.DB, row any, extra map[string]any) *gorm.DB {
	set := map[string]any{"version": gorm.Expr("version + 1")}
	maps.Copy(set, extra)
	for column, value := range f {
		set[string(column)] = value
	}
	return key.Model(row).Updates(set)
}

// monotonicUpdatedAt is the value of updated_at in an update: the later of now, which is a time or a placeholder, and the time that the
// row has. Clocks step back and differ between servers, and a statement may wait for its row. The database compares when it has locked
// the row.
func (s *Store) monotonicUpdatedAt(now any) clause.Expr {
	return gorm.Expr(s.db.Greatest()+"(?, updated_at)", now)
}

// maxTime does what monotonicUpdatedAt does, for a row that was read under the lock that it is written under.
func maxTime(now, before time.Time) time.Time {
	if before.After(now) {
		return before
	}
	return now
}

// patchedColumns are the columns that a patch returns. The writer knows the others.
var patchedColumns = slices.Concat([]string{"catalog_app_id"}, appFieldNames(), []string{"version", "created_at", "updated_at"})

// appColumns are the columns of an app that are read, in the order in which they are scanned: those that a patch returns, and the others.
var appColumns = strings.Join(append(slices.Clone(patchedColumns), "client_id", "id", "name_key"), ", ")

// returning is a clause that has an update return these columns.
func returning(columns ...string) clause.Returning {
	var r clause.Returning
	for _, name := range columns {
		r.Columns = append(r.Columns, clause.Column{Name: name})
	}
	return r
}

// appStatement is the text that gorm builds for one shape of patch, and which value of a patch each parameter takes.
type appStatement struct {
	sql   string
	slots []slot
}

// slot names a value of a patch. gorm gets it in place of the value, and so shows the position of its parameter.
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

// appStatements builds the statements of one app, each once, for both databases.
type appStatements struct {
	s *Store

	shapes        atomic.Pointer[map[patchShape]*appStatement] // replaced when one is added
	takeStatement func() (string, error)
	takeToWrite   func() (string, error) // takeStatement for an app that is to be written
}

func newAppStatements(s *Store) *appStatements {
	t := &appStatements{s: s}
	t.shapes.Store(&map[patchShape]*appStatement{})
	t.takeStatement = sync.OnceValues(func() (string, error) { return t.buildTake(false) })
	t.takeToWrite = sync.OnceValues(func() (string, error) { return t.buildTake(true) })
	return t
}

// buildTake builds the statement that reads one app. Its parameters are the client, the app and, to write, the client once more.
func (t *appStatements) buildTake(toWrite bool) (string, error) {
	q := tenant.Template(t.s.reader.Session(&gorm.Session{DryRun: true, NewDB: true}), slotClient).Where("id = ?", slotID)
	if toWrite {
		q = whereActive(q, slotClient)
	}
	res := q.Select(appColumns).Find(&[]App{})
	return res.Statement.SQL.String(), res.Error
}

// statement returns the statement for a patch of this shape. gorm builds each shape once.
func (t *appStatements) statement(p *appPatch) (*appStatement, error) {
	shape, err := p.shape()
	if err != nil {
		return nil, err
	}
	distributed := t.s.db.Distributed()
	if distributed {
		shape |= distributedShape
	}
	shapes := t.shapes.Load()
	if st, ok := (*shapes)[shape]; ok {
		return st, nil
	}
	q := tenant.Template(t.s.writer.Session(&gorm.Session{DryRun: true, NewDB: true}), slotClient).Where("id = ?", slotID)
	if p.expected.catalog != 0 {
		q = q.Where("(SELECT revision FROM catalog_state WHERE id = 1) = ?", slotRevision)
	}
	if p.expected.row != 0 {
		q = q.Where("version = ?", slotVersion)
	}
	extra := map[string]any{
		"actor_id": slotActor, "actor_name": slotName, "request_id": slotRequest, "updated_at": t.s.monotonicUpdatedAt(slotNow),
	}
	if !distributed {
		// Citus plans a statement with subqueries anew each time. deploy/citus.sql has a trigger instead, and there is no feed.
		q, extra = whereActive(q, slotClient), t.s.withFeedPosition(extra)
	}
	fields := Fields{}
	for column := range p.fields {
		fields[column] = slot(column)
	}
	res := fields.patch(q.Clauses(returning(patchedColumns...)), &App{}, extra, 0)
	if res.Error != nil {
		return nil, res.Error
	}
	st := &appStatement{sql: res.Statement.SQL.String()}
	for _, v := range res.Statement.Vars {
		st.slots = append(st.slots, v.(slot)) //nolint:errcheck,forcetypeassert // what was put in above
	}
	more := maps.Clone(*shapes)
	more[shape] = st
	t.shapes.CompareAndSwap(shapes, &more) // a statement that was added at the same moment may get lost, and is built again
	return st, nil
}

// patchShape is what tells one statement from another: a bit for each of appFields that is set, one for each condition, and one for
// distributed databases.
type patchShape uint64

const distributedShape patchShape = 1 << 63

func (p *appPatch) shape() (patchShape, error) {
	var shape patchShape
	known := 0
	for i, f := range appFields {
		if _, ok := p.fields[f.column]; ok {
			shape |= 1 << i
			known++
		}
	}
	if known != len(p.fields) {
		return 0, fmt.Errorf("a patch of %v has a column that apps do not have", slices.Sorted(maps.Keys(p.fields)))
	}
	shape <<= 2
	if p.expected.row != 0 {
		shape |= 1
	}
	if p.expected.catalog != 0 {
		shape |= 2
	}
	return shape, nil
}

// appParams is the values of a patch in pgx's own types, whose addresses it takes without an allocation each. They are driver.Valuers for
// SQLite.
type appParams struct {
	client, id, actor pgtype.UUID
	name, request     pgtype.Text
	now               pgtype.Timestamptz
	version, revision pgtype.Int8
	list              [16]any // room for the parameters of any statement of today's fields
}

// bind fills in the parameters. What the patch is not bound to is null.
func (p *appPatch) bind(now time.Time) {
	p.now = now
	v := &p.params
	v.client = pgtype.UUID{Bytes: p.Key.ClientID, Valid: true}
	v.id = pgtype.UUID{Bytes: p.Key.ID, Valid: true}
	v.actor = pgtype.UUID{Bytes: p.by.ID, Valid: true}
	v.name = pgtype.Text{String: p.by.Name, Valid: true}
	v.request = pgtype.Text{String: p.by.RequestID, Valid: true}
	v.now = pgtype.Timestamptz{Time: now, Valid: true}
	v.version = pgtype.Int8{Int64: p.expected.row, Valid: p.expected.row != 0}
	v.revision = pgtype.Int8{Int64: p.expected.catalog, Valid: p.expected.catalog != 0}
}

// args lists the parameters of the statement. They are good until the next call.
func (p *appPatch) args(st *appStatement, now time.Time) []any {
	p.bind(now)
	v := &p.params
	args := v.list[:0]
	for _, name := range st.slots {
		switch name {
		case slotClient:
			args = append(args, &v.client)
		case slotID:
			args = append(args, &v.id)
		case slotActor:
			args = append(args, &v.actor)
		case slotName:
			args = append(args, &v.name)
		case slotRequest:
			args = append(args, &v.request)
		case slotNow:
			args = append(args, &v.now)
		case slotVersion:
			args = append(args, &v.version)
		case slotRevision:
			args = append(args, &v.revision)
		default:
			args = append(args, p.fields[Column(name)])
		}
	}
	return args
}

// patchedRow is what a patch gets back: patchedColumns, in the driver's own types where those cost less.
type patchedRow struct {
	app              App
	catalogApp       pgtype.UUID
	created, updated pgtype.Timestamptz
}

// appendTargets appends what the columns are scanned into.
func (r *patchedRow) appendTargets(targets []any) []any {
	targets = r.app.appendTargets(append(targets, &r.catalogApp))
	return append(targets, &r.app.Version, &r.created, &r.updated)
}

func (r *patchedRow) patched() App {
	r.app.CatalogAppID, r.app.CreatedAt, r.app.UpdatedAt = r.catalogApp.Bytes, r.created.Time, r.updated.Time
	return r.app
}

func (p *appPatch) setResult(row *patchedRow) { p.app, p.changed = row.patched(), true }

// Several patches are one statement on PostgreSQL, joined to their rows by key: a quarter less work for the database than a
// statement each. gorm builds it, once, of a field map like any other; only the values come from a list of patches.

// batchSettings bound how long a batch waits for a row that another transaction holds. After that its patches are written one by one,
// and only the one concerned goes on waiting. The settings also make PostgreSQL lock rows in the order of the list, whatever the planner
// knows of the table, so that two servers never wait for each other.
const batchSettings = "SELECT set_config('lock_timeout', '" + shortLockTimeout + "', true), set_config('enable_seqscan', 'off', true), " +
	"set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)"

// patchLists are the lists that a batch sends, with the type of their elements: what each patch has in this place. A field
// that a patch leaves out is null; another list tells that from a null that the patch sets.
var patchLists = func() postgres.UnnestColumns[*appPatch] {
	columns := postgres.UnnestColumns[*appPatch]{
		postgres.NewUnnestColumn("patch_client_id", "uuid", func(p *appPatch) any { return &p.params.client }),
		postgres.NewUnnestColumn("patch_id", "uuid", func(p *appPatch) any { return &p.params.id }),
		postgres.NewUnnestColumn("patch_version", "bigint", func(p *appPatch) any { return &p.params.version }),
		postgres.NewUnnestColumn("patch_revision", "bigint", func(p *appPatch) any { return &p.params.revision }),
		postgres.NewUnnestColumn("patch_actor_id", "uuid", func(p *appPatch) any { return &p.params.actor }),
		postgres.NewUnnestColumn("patch_actor_name", "text", func(p *appPatch) any { return &p.params.name }),
		postgres.NewUnnestColumn("patch_request_id", "text", func(p *appPatch) any { return &p.params.request }),
	}
	for _, f := range appFields {
		columns = append(columns, postgres.NewUnnestColumn("patch_"+string(f.column), f.pgType, func(p *appPatch) any { return p.fields[f.column] }))
		if f.nullable {
			columns = append(columns, postgres.NewUnnestColumn("patch_sets_"+string(f.column), "boolean", func(p *appPatch) any {
				_, ok := p.fields[f.column]
				return ok
			}))
		}
	}
	return columns
}()

// batchFields is the patch that a batch's statement makes: of each row what its patch sets, and what it has for the rest.
func batchFields() Fields {
	fields := Fields{}
	for _, f := range appFields {
		name := string(f.column)
		if f.nullable {
			fields[f.column] = gorm.Expr("CASE WHEN patch_sets_" + name + " THEN patch_" + name + " ELSE " + name + " END")
		} else {
			fields[f.column] = gorm.Expr("coalesce(patch_" + name + ", " + name + ")")
		}
	}
	return fields
}

// buildPatchBatch builds the statement that writes any list of patches of different apps. Behind the lists comes the time.
func (t *postgresApps) buildPatchBatch() (string, error) {
	client := gorm.Expr(patchLists[0].Name)
	patches := clause.Table{Raw: true, Name: patchLists.Table("patch")}
	q := tenant.Template(t.s.writer.Session(&gorm.Session{DryRun: true, NewDB: true}), client).
		Clauses(clause.From{Tables: []clause.Table{patches}}).
		Clauses(returning(append([]string{"patch_number"}, patchedColumns...)...)).
		Where("id = patch_id").
		Where("(patch_version IS NULL OR version = patch_version)").
		Where("(patch_revision IS NULL OR (SELECT revision FROM catalog_state WHERE id = 1) = patch_revision)")
	q = whereActive(q, client)
	res := batchFields().patch(q, &App{}, t.s.withFeedPosition(map[string]any{
		"actor_id": gorm.Expr("patch_actor_id"), "actor_name": gorm.Expr("patch_actor_name"),
		"request_id": gorm.Expr("patch_request_id"),
		"updated_at": t.s.monotonicUpdatedAt(gorm.Expr(fmt.Sprintf("$%d::timestamptz", len(patchLists)+1))),
	}), 0)
	return res.Statement.SQL.String(), res.Error
}

func (t *postgresApps) writeBatch(ctx context.Context, conn *pgx.Conn, patches []*appPatch) error {
	batch := &pgx.Batch{}
	queueBegin(batch)
	if slices.ContainsFunc(patches, func(p *appPatch) bool { return p.expected.catalog != 0 }) {
		t.queueLockCatalogShared(batch, patches[0].Key.ClientID)
	}
	err := t.queueUpdate(batch, patches)
	if err == nil {
		err = postgres.Send(ctx, conn, batch)
	}
	t.s.lockTimeoutCounts.note(lockPathBatch, err)
	return err
}

// lockAvailable begins a transaction, locks the rows of the patches that no other transaction holds, and returns these patches. The
// transaction stays open if there are any. It leaves out a patch whose app does not exist, too.
func (t *postgresApps) lockAvailable(ctx context.Context, conn *pgx.Conn, patches []*appPatch) (available []*appPatch, err error) {
	for _, p := range patches {
		p.bind(p.now)
	}
	batch := &pgx.Batch{}
	queueBegin(batch)
	if t.byClient() {
		for _, p := range patches {
			t.queueClient(batch, p.Key.ClientID)
			batch.Queue("SELECT 1 FROM apps WHERE client_id = $1 AND id = $2 FOR NO KEY UPDATE SKIP LOCKED", &p.params.client, &p.params.id).
				Query(func(rows pgx.Rows) error {
					if rows.Next() {
						available = append(available, p)
					}
					rows.Close()
					return rows.Err()
				})
		}
	} else {
		key := patchLists[:2]
		batch.Queue("SELECT patch_number FROM "+key.Table("patch")+" JOIN apps ON client_id = patch_client_id AND id = patch_id "+
			"ORDER BY patch_number FOR NO KEY UPDATE OF apps SKIP LOCKED", key.Args(patches)...).
			Query(func(rows pgx.Rows) error {
				numbers, err := pgx.CollectRows(rows, pgx.RowTo[int64])
				for _, number := range numbers {
					available = append(available, patches[number-1])
				}
				return err
			})
	}
	if err := postgres.Send(ctx, conn, batch); err != nil || len(available) > 0 {
		return available, err
	}
	_, err = conn.Exec(ctx, "ROLLBACK")
	return nil, err
}

// writeLocked writes patches whose rows this connection's transaction has locked, and ends it.
func (t *postgresApps) writeLocked(ctx context.Context, conn *pgx.Conn, patches []*appPatch) error {
	batch := &pgx.Batch{}
	queue := t.queueUpdate
	if t.byClient() {
		queue = t.queueUpdates
	}
	if err := queue(batch, patches); err != nil {
		_, rollback := conn.Exec(ctx, "ROLLBACK")
		return errors.Join(err, rollback)
	}
	return postgres.Send(ctx, conn, batch)
}

// queueBegin begins a transaction that waits for locks briefly.
func queueBegin(batch *pgx.Batch) {
	batch.Queue("BEGIN")
	batch.Queue(batchSettings)
}

// queueUpdate queues the statement of the patches and COMMIT.
func (t *postgresApps) queueUpdate(batch *pgx.Batch, patches []*appPatch) error {
	sql, err := t.patchBatchStatement()
	if err != nil {
		return err
	}
	now := t.s.now()
	args := append(patchLists.Args(patches), now)
	for _, p := range patches {
		p.bind(now)
		p.changed = false
	}
	batch.Queue(sql, args...).Query(func(rows pgx.Rows) error { return scanPatchedRows(rows, patches) })
	batch.Queue("COMMIT")
	return nil
}

// queueUpdates is queueUpdate with a statement for each patch.
func (t *postgresApps) queueUpdates(batch *pgx.Batch, patches []*appPatch) error {
	now := t.s.now()
	for _, p := range patches {
		st, err := t.statement(p)
		if err != nil {
			return err
		}
		t.queueClient(batch, p.Key.ClientID)
		batch.Queue(st.sql, p.args(st, now)...).Query(p.scanRow)
	}
	batch.Queue("COMMIT")
	return nil
}

// scanPatchedRows gives each patch its row. One that changed nothing has none.
func scanPatchedRows(rows pgx.Rows, patches []*appPatch) error {
	defer rows.Close()
	var number int64 // from 1
	var row patchedRow
	targets := row.appendTargets([]any{&number})
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		patches[number-1].setResult(&row)
	}
	return rows.Err()
}
