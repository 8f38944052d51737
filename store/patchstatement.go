package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
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
func (f Fields) patch(key *gorm.DB, row any, also map[string]any, version int64) *gorm.DB {
	differs := make([]string, 0, len(f))
	values := make([]any, 0, len(f))
	for _, column := range slices.Sorted(maps.Keys(f)) {
		differs = append(differs, string(column)+" IS DISTINCT FROM ?")
		values = append(values, f[column])
	}
	if version != 0 {
		key = key.Where("version = ?", version)
	}
	return f.update(key.Where("("+strings.Join(differs, " OR ")+")", values...), row, also)
}

// update is the one statement that changes a row. It sets fields of the row that key selects, and the columns that change with every
// write.
func (f Fields) update(key *gorm.DB, row any, also map[string]any) *gorm.DB {
	set := map[string]any{"version": gorm.Expr("version + 1")}
	maps.Copy(set, also)
	for column, value := range f {
		set[string(column)] = value
	}
	return key.Model(row).Updates(set)
}

// notEarlier is the value of updated_at in an update: now, which is a time or a placeholder, or the time that the row has, if that is
// later. Clocks step back and differ between servers, and a statement may wait for its row. The database compares when it has locked
// the row.
func (s *Store) notEarlier(now any) clause.Expr {
	return gorm.Expr(s.db.Greatest()+"(?, updated_at)", now)
}

// later is notEarlier for a row that was read under the lock that it is written under.
func later(now, before time.Time) time.Time {
	if before.After(now) {
		return before
	}
	return now
}

// patchedColumns are the columns that a patch returns. The others are known.
var patchedColumns = slices.Concat([]string{"catalog_app_id"}, appFieldNames(), []string{"version", "created_at", "updated_at"})

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

// statement returns the statement for a patch of this shape. gorm builds each shape once.
func (t *postgresApps) statement(p *appPatch) (*appStatement, error) {
	shape, err := p.shape()
	if err != nil {
		return nil, err
	}
	shapes := t.shapes.Load()
	if st, ok := (*shapes)[shape]; ok {
		return st, nil
	}
	q := tenant.Template(t.s.write.Session(&gorm.Session{DryRun: true, NewDB: true}), slotClient).Where("id = ?", slotID)
	if p.at.catalog != 0 {
		q = q.Where("(SELECT revision FROM catalog_state WHERE id = 1) = ?", slotRevision)
	}
	if p.at.row != 0 {
		q = q.Where("version = ?", slotVersion)
	}
	q = ifActive(q, slotClient)
	fields := Fields{}
	for column := range p.fields {
		fields[column] = slot(column)
	}
	res := fields.patch(q.Clauses(returning(patchedColumns...)), &App{}, t.s.positioned(map[string]any{
		"actor_id": slotActor, "actor_name": slotName, "request_id": slotRequest, "updated_at": t.s.notEarlier(slotNow),
	}), 0)
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

// patchShape is what tells one statement from another: a bit for each of appFields that is set, and one for each condition.
type patchShape uint64

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
	if p.at.row != 0 {
		shape |= 1
	}
	if p.at.catalog != 0 {
		shape |= 2
	}
	return shape, nil
}

// appParams is the values of a patch in the driver's own types, whose addresses it takes without an allocation each.
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
	v.version = pgtype.Int8{Int64: p.at.row, Valid: p.at.row != 0}
	v.revision = pgtype.Int8{Int64: p.at.catalog, Valid: p.at.catalog != 0}
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

func (p *appPatch) take(row *patchedRow) {
	p.app, p.changed = row.app, true
	p.app.CatalogAppID, p.app.CreatedAt, p.app.UpdatedAt = row.catalogApp.Bytes, row.created.Time, row.updated.Time
}

// Several patches are one statement on PostgreSQL, joined to their rows by key: a quarter less work for the database than a
// statement each. gorm builds it, once, of a field map like any other; only the values come from a list of patches.

// batchSettings bound how long a batch waits for a row that another transaction holds, before its patches are written one by
// one, so that only the one concerned goes on waiting; and make it lock rows in the order of its list whatever the planner
// knows of the table, so that two servers never wait for each other.
const batchSettings = "SELECT set_config('lock_timeout', '" + shortLockWait + "', true), set_config('enable_seqscan', 'off', true), " +
	"set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)"

type patchColumn struct {
	name, kind string
	of         func(*appPatch) any
}

// patchColumns are the lists that a batch sends, with the type of their elements: what each patch has in this place. A field
// that a patch leaves out is null; another list tells that from a null that the patch sets.
var patchColumns = func() []patchColumn {
	columns := []patchColumn{
		{"patch_client_id", "uuid", func(p *appPatch) any { return &p.params.client }},
		{"patch_id", "uuid", func(p *appPatch) any { return &p.params.id }},
		{"patch_version", "bigint", func(p *appPatch) any { return &p.params.version }},
		{"patch_revision", "bigint", func(p *appPatch) any { return &p.params.revision }},
		{"patch_actor_id", "uuid", func(p *appPatch) any { return &p.params.actor }},
		{"patch_actor_name", "text", func(p *appPatch) any { return &p.params.name }},
		{"patch_request_id", "text", func(p *appPatch) any { return &p.params.request }},
	}
	for _, f := range appFields {
		columns = append(columns, patchColumn{"patch_" + string(f.column), f.kind, func(p *appPatch) any { return p.fields[f.column] }})
		if f.nullable {
			columns = append(columns, patchColumn{"patch_sets_" + string(f.column), "boolean", func(p *appPatch) any {
				_, ok := p.fields[f.column]
				return ok
			}})
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

// batchColumns are the lists of a batch. The client of a batch that is by client is a value by itself.
func (t *postgresApps) batchColumns() []patchColumn {
	if t.s.byClient {
		return patchColumns[1:]
	}
	return patchColumns
}

// buildBatch builds the statement that writes any list of patches of different apps. Behind the lists come the time and, by
// client, the client: so that a database which is distributed by client knows where to send it.
func (t *postgresApps) buildBatch() (string, error) {
	columns, client := t.batchColumns(), gorm.Expr("patch_client_id")
	if t.s.byClient {
		client = gorm.Expr(fmt.Sprintf("$%d::uuid", len(columns)+2))
	}
	lists, names := make([]string, len(columns)), make([]string, len(columns)+1)
	for i, c := range columns {
		lists[i], names[i] = fmt.Sprintf("$%d::%s[]", i+1, c.kind), c.name
	}
	names[len(columns)] = "patch_number"
	patches := clause.Table{Raw: true, Name: fmt.Sprintf("unnest(%s) WITH ORDINALITY AS patch (%s)",
		strings.Join(lists, ", "), strings.Join(names, ", "))}
	q := tenant.Template(t.s.write.Session(&gorm.Session{DryRun: true, NewDB: true}), client).
		Clauses(clause.From{Tables: []clause.Table{patches}}).
		Clauses(returning(append([]string{"patch_number"}, patchedColumns...)...)).
		Where("id = patch_id").
		Where("(patch_version IS NULL OR version = patch_version)").
		Where("(patch_revision IS NULL OR (SELECT revision FROM catalog_state WHERE id = 1) = patch_revision)")
	q = ifActive(q, client)
	res := batchFields().patch(q, &App{}, t.s.positioned(map[string]any{
		"actor_id": gorm.Expr("patch_actor_id"), "actor_name": gorm.Expr("patch_actor_name"),
		"request_id": gorm.Expr("patch_request_id"),
		"updated_at": t.s.notEarlier(gorm.Expr(fmt.Sprintf("$%d::timestamptz", len(columns)+1))),
	}), 0)
	return res.Statement.SQL.String(), res.Error
}

func (t *postgresApps) writeBatch(ctx context.Context, conn *pgx.Conn, patches []*appPatch) error {
	batch := &pgx.Batch{}
	t.queueBegin(batch, patches)
	if slices.ContainsFunc(patches, func(p *appPatch) bool { return p.at.catalog != 0 }) {
		batch.Queue(holdCatalogShared)
	}
	err := t.queueUpdate(batch, patches)
	if err == nil {
		err = postgres.Send(ctx, conn, batch)
	}
	t.s.lockTimeouts.note(lockPathBatch, err)
	return err
}

// lockFree begins a transaction, locks the rows of the patches that no other transaction holds, and returns these patches. The
// transaction stays open if there are any. A patch whose app is not there is not among them either.
func (t *postgresApps) lockFree(ctx context.Context, conn *pgx.Conn, patches []*appPatch) (free []*appPatch, err error) {
	columns, key := t.batchColumns(), "client_id = patch_client_id"
	lists, names, args := "", "", []any{}
	for i, c := range columns[:len(columns)-len(patchColumns)+2] { // those of the key
		lists += fmt.Sprintf("$%d::%s[], ", i+1, c.kind)
		names += c.name + ", "
		args = append(args, list[*appPatch]{patches, c.of})
	}
	if t.s.byClient {
		key = fmt.Sprintf("client_id = $%d::uuid", len(args)+1)
		args = append(args, patches[0].Key.ClientID)
	}
	for _, p := range patches {
		p.bind(p.now)
	}
	batch := &pgx.Batch{}
	t.queueBegin(batch, patches)
	batch.Queue("SELECT patch_number FROM unnest("+strings.TrimSuffix(lists, ", ")+") WITH ORDINALITY AS patch ("+names+"patch_number) "+
		"JOIN apps ON "+key+" AND id = patch_id ORDER BY patch_number FOR NO KEY UPDATE OF apps SKIP LOCKED", args...).
		Query(func(rows pgx.Rows) error {
			numbers, err := pgx.CollectRows(rows, pgx.RowTo[int64])
			for _, number := range numbers {
				free = append(free, patches[number-1])
			}
			return err
		})
	if err := postgres.Send(ctx, conn, batch); err != nil || len(free) > 0 {
		return free, err
	}
	_, err = conn.Exec(ctx, "ROLLBACK")
	return nil, err
}

// writeLocked writes patches whose rows this connection's transaction has locked, and ends it.
func (t *postgresApps) writeLocked(ctx context.Context, conn *pgx.Conn, patches []*appPatch) error {
	batch := &pgx.Batch{}
	if err := t.queueUpdate(batch, patches); err != nil {
		_, rollback := conn.Exec(ctx, "ROLLBACK")
		return errors.Join(err, rollback)
	}
	return postgres.Send(ctx, conn, batch)
}

// queueBegin begins a transaction that waits for locks briefly, for the patches of one client where batches are by client.
func (t *postgresApps) queueBegin(batch *pgx.Batch, patches []*appPatch) {
	batch.Queue("BEGIN")
	batch.Queue(batchSettings)
	t.queueClient(batch, patches[0].Key.ClientID)
}

// queueUpdate queues the statement of the patches and COMMIT.
func (t *postgresApps) queueUpdate(batch *pgx.Batch, patches []*appPatch) error {
	sql, err := t.batchStatement()
	if err != nil {
		return err
	}
	now := t.s.now()
	args := make([]any, 0, len(patchColumns)+1)
	for _, c := range t.batchColumns() {
		args = append(args, list[*appPatch]{patches, c.of})
	}
	args = append(args, now)
	if t.s.byClient {
		args = append(args, &patches[0].params.client) // all are that client's
	}
	for _, p := range patches {
		p.bind(now)
		p.changed = false
	}
	batch.Queue(sql, args...).Query(func(rows pgx.Rows) error { return takeRows(rows, patches) })
	batch.Queue("COMMIT")
	return nil
}

// takeRows gives each patch its row. One that changed nothing has none.
func takeRows(rows pgx.Rows, patches []*appPatch) error {
	defer rows.Close()
	var number int64 // from 1
	var row patchedRow
	targets := row.appendTargets([]any{&number})
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		patches[number-1].take(&row)
	}
	return rows.Err()
}

// list is what a list of patches or updates has in one place, as an array of PostgreSQL.
type list[T any] struct {
	items []T
	of    func(T) any
}

// Dimensions implements pgtype.ArrayGetter.
func (l list[T]) Dimensions() []pgtype.ArrayDimension {
	return []pgtype.ArrayDimension{{Length: int32(len(l.items)), LowerBound: 1}} //nolint:gosec // at most maxBatch
}

// Index implements pgtype.ArrayGetter.
func (l list[T]) Index(i int) any { return l.of(l.items[i]) }

// IndexType implements pgtype.ArrayGetter: any, since what is null has no type.
func (list[T]) IndexType() any { return nil }

// TextValue implements pgtype.TextValuer, for connections that do not ask PostgreSQL for the types of parameters: the
// statement has them behind each list.
func (l list[T]) TextValue() (pgtype.Text, error) {
	var b strings.Builder
	b.WriteByte('{')
	for i := range l.items {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := writeElement(&b, l.Index(i)); err != nil {
			return pgtype.Text{}, err
		}
	}
	b.WriteByte('}')
	return pgtype.Text{String: b.String(), Valid: true}, nil
}

// quoteElement escapes a quoted element of an array.
var quoteElement = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func writeElement(b *strings.Builder, element any) error {
	if valuer, ok := element.(driver.Valuer); ok {
		v, err := valuer.Value()
		if err != nil {
			return err
		}
		element = v
	}
	switch v := element.(type) {
	case nil:
		b.WriteString("NULL")
	case string:
		b.WriteByte('"')
		_, _ = quoteElement.WriteString(b, v)
		b.WriteByte('"')
	default:
		_, _ = fmt.Fprint(b, v)
	}
	return nil
}
