package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/clientapps/clientapps/store/groupcommit"
	"github.com/clientapps/clientapps/store/postgres"
	"github.com/clientapps/clientapps/store/sqlite"
	"github.com/clientapps/clientapps/store/tenant"
)

// maxBulkRows is how many apps one statement of a bulk update writes at most.
const maxBulkRows = 500

// AppUpdate is a patch of one of several apps.
type AppUpdate struct {
	ID     uuid.UUID
	Fields Fields   // as for UpdateApp
	Match  *IfMatch // nil for no condition
}

// ErrNotAttempted is the outcome of an update that is valid by itself, when another failed and all were to be written or none.
var ErrNotAttempted = errors.New("another update failed")

// UpdateApps updates apps of one client, each as UpdateApp does. It returns the outcome of each: nil, NotFoundError, PreconditionError or
// ErrNotAttempted. With atomic, all updates are written or none. No app may be updated twice.
//
// The rows are locked in the order of their ids, so that two bulk updates cannot wait for each other. NotFoundError and
// ClientSuspendedError as errors name the client.
func (s *Store) UpdateApps(ctx context.Context, clientID uuid.UUID, updates []AppUpdate, atomic bool, by Actor) ([]error, error) {
	b := newBulkUpdate(clientID, updates, atomic, by)
	if err := s.updateApps(ctx, b); err != nil {
		return nil, s.translate("update apps", err)
	}
	outcomes := make([]error, len(updates))
	for i := range b.all {
		outcomes[i] = b.all[i].err
	}
	return outcomes, nil
}

func (s *Store) updateApps(ctx context.Context, b *bulkUpdate) error {
	if !b.conditional && !b.atomic && !isDryRun(ctx) {
		if err := s.apps.writeBulk(ctx, b); err != nil || len(b.pending) == 0 {
			return err
		}
	}
	for range 10 {
		err := s.updateLocked(ctx, b)
		switch {
		case errors.Is(err, errUnchanged):
			return nil
		case !errors.Is(err, errRestartBulk):
			return err
		}
		if err := s.checkActive(ctx, b.client); err != nil {
			return err
		}
	}
	return &UnavailableError{reason: ReasonConflict, cause: errRestartBulk}
}

// errRestartBulk rolls back a bulk update that has to start over.
var errRestartBulk = errors.New("the catalog or the client has changed in between")

// bulkUpdate is several updates of apps of one client while they are written.
type bulkUpdate struct {
	client      uuid.UUID
	by          Actor
	atomic      bool
	conditional bool // one of them has a condition
	all         []appUpdate
	sorted      []*appUpdate // by id
	pending     []*appUpdate // of these, whose outcome is open
	shape       bulkShape
	same        Fields    // what all updates set alike; nil if they do not
	now         time.Time // of the write
	found       []bulkRow
}

// bulkRow is a row that a statement has found. The version is 0 if it did not change the row.
type bulkRow struct {
	id      uuid.UUID
	version int64
}

// written returns the rows that were changed.
func (b *bulkUpdate) written() []App {
	var written []App
	for _, row := range b.found {
		if row.version != 0 {
			written = append(written, App{ID: row.id, Version: row.version})
		}
	}
	return written
}

// appUpdate is one update of a bulkUpdate.
type appUpdate struct {
	*AppUpdate

	key pgtype.UUID // the id in the driver's own type
	err error
}

func newBulkUpdate(client uuid.UUID, updates []AppUpdate, atomic bool, by Actor) *bulkUpdate {
	b := &bulkUpdate{client: client, by: by, atomic: atomic, all: make([]appUpdate, len(updates)), sorted: make([]*appUpdate, len(updates))}
	for i := range updates {
		b.all[i].AppUpdate, b.all[i].key = &updates[i], pgtype.UUID{Bytes: updates[i].ID, Valid: true}
		b.sorted[i] = &b.all[i]
		b.conditional = b.conditional || updates[i].Match != nil
	}
	if !slices.ContainsFunc(updates, func(u AppUpdate) bool { return !sameFields(u.Fields, updates[0].Fields) }) {
		b.same, b.shape.same = updates[0].Fields, true
		b.shape.add(b.same)
	} else {
		for i := range updates {
			b.shape.add(updates[i].Fields)
		}
	}
	slices.SortFunc(b.sorted, func(x, y *appUpdate) int { return compareIDs(x.key.Bytes, y.key.Bytes) })
	b.pending = b.sorted
	return b
}

// sameFields compares field maps. Operations that set the same of all apps pass one map, whose content need not be compared.
func sameFields(a, b Fields) bool {
	return reflect.ValueOf(a).UnsafePointer() == reflect.ValueOf(b).UnsafePointer() || maps.Equal(a, b)
}

func (b *bulkUpdate) find(id uuid.UUID) *appUpdate {
	i, found := slices.BinarySearchFunc(b.sorted, id, func(u *appUpdate, id uuid.UUID) int { return compareIDs(u.ID, id) })
	if !found {
		return nil
	}
	return b.sorted[i]
}

// updateLocked locks the rows of the pending updates, decides what becomes of each, and writes those that change something.
func (s *Store) updateLocked(ctx context.Context, b *bulkUpdate) error {
	var catalog *Catalog
	if b.conditional { // a tag depends on the catalog
		var err error
		if catalog, err = s.refreshCatalog(ctx); err != nil {
			return err
		}
	}
	committed := func(db *gorm.DB) (bool, error) { return b.by.madeVersions(db, b.client, b.written()) }
	return s.inTx(ctx, clientShare(b.client), committed, func(tx *gorm.DB) error {
		b.found = nil
		current := catalog
		rows, err := b.lock(tx)
		if err == nil && len(rows) == 0 { // perhaps because the client is suspended
			if err = lockClient(tx, b.client, "SHARE"); err == nil {
				rows, err = b.lock(tx)
			}
		}
		if err != nil {
			return err
		}
		if b.conditional {
			// Only now that no row has to be waited for: a change of the catalog would wait, too.
			if err := s.lockCatalogShared(tx, revisionLock, b.client); err != nil {
				return err
			}
			now, err := s.lockedRevision(tx, b.client)
			if err == nil && now != catalog.revision {
				current, err = s.catalogInTx(tx, now, catalog)
			}
			if err != nil {
				return err
			}
		}
		changed := b.decide(rows, current)
		if len(changed) == 0 {
			return errUnchanged
		}
		b.now = s.now()
		if err := b.write(s, tx, changed); err != nil {
			return err
		}
		if len(b.written()) < len(changed) { // the client was suspended since the rows were locked
			return errRestartBulk
		}
		return nil
	})
}

// catalogInTx reads the catalog at the revision that the transaction has locked. Starting over instead would never end while others change
// the catalog all the time. A distributed database starts over: this connection may not see that revision yet.
func (s *Store) catalogInTx(tx *gorm.DB, revision int64, old *Catalog) (*Catalog, error) {
	if s.db.Distributed() {
		return nil, errRestartBulk
	}
	build, err := readCatalogAt(tx, revision, old)
	if err != nil {
		return nil, err
	}
	return build(), nil
}

// lock locks the rows of the pending updates, of a client that is active.
func (b *bulkUpdate) lock(tx *gorm.DB) (rows []App, err error) {
	q := whereActive(whereIn(tenant.Of(tx, b.client), "id", b.pendingIDs()), b.client)
	err = q.Select(appColumns).Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).Order("id").Find(&rows).Error
	return rows, err
}

func (b *bulkUpdate) pendingIDs() []uuid.UUID {
	ids := make([]uuid.UUID, len(b.pending))
	for i, u := range b.pending {
		ids[i] = u.ID
	}
	return ids
}

// decide sets the outcome of each pending update of rows that are locked, and returns those that change something.
func (b *bulkUpdate) decide(rows []App, catalog *Catalog) (changed []*appUpdate) {
	failed := false
	for _, u := range b.pending {
		at, found := slices.BinarySearchFunc(rows, u.ID, func(a App, id uuid.UUID) int { return compareIDs(a.ID, id) })
		if !found {
			u.err = &NotFoundError{Kind: KindApp, ID: u.ID}
		} else if u.err = u.check(rows[at], catalog); u.err == nil && !u.Fields.alreadyIn(rows[at].fields()) {
			changed = append(changed, u)
		}
		failed = failed || u.err != nil
	}
	if !b.atomic || !failed {
		return changed
	}
	for _, u := range b.pending {
		if u.err == nil {
			u.err = ErrNotAttempted
		}
	}
	return nil
}

// check compares the condition of an update with the tag that the app has.
func (u *appUpdate) check(app App, catalog *Catalog) error {
	if u.Match == nil {
		return nil
	}
	app.Catalog = catalog.entry(app.CatalogAppID) // which is there: the catalog has the revision of the transaction
	return u.Match.Check(app.ETag())
}

// write writes updates of rows that are locked.
func (b *bulkUpdate) write(s *Store, tx *gorm.DB, updates []*appUpdate) error {
	sql, err := b.shape.statement(s)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(updates, maxBulkRows) {
		if err := b.query(tx, sql, b.args(s, part)); err != nil {
			return err
		}
	}
	return nil
}

// query runs the statement in a transaction of gorm, which knows nothing of such parameters.
func (b *bulkUpdate) query(tx *gorm.DB, sql string, args []any) error {
	rows, err := tx.Statement.ConnPool.QueryContext(tx.Statement.Context, sql, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	return errors.Join(b.scan(rows), rows.Err())
}

// scan reads the keys and versions that a statement returns.
func (b *bulkUpdate) scan(rows interface {
	Next() bool
	Scan(targets ...any) error
},
) error {
	var id pgtype.UUID
	var version int64
	for rows.Next() {
		if err := rows.Scan(&id, &version); err != nil {
			return err
		}
		b.found = append(b.found, bulkRow{id.Bytes, version})
	}
	return nil
}

// writeBulk implements appTable. What it leaves pending is decided by updateLocked: all updates, when a row stays locked; those whose app is
// not there, or was changed in between; after a COMMIT in doubt those that had nothing to change.
func (t *postgresApps) writeBulk(ctx context.Context, b *bulkUpdate) error {
	sql, err := b.shape.statement(t.s)
	if err != nil || sql == "" {
		return err
	}
	release, err := t.s.acquire(ctx, clientShare(b.client))
	if err != nil {
		return err
	}
	defer release()
	read := func(rows pgx.Rows) error {
		defer rows.Close()
		return errors.Join(b.scan(rows), rows.Err())
	}
	err = t.onConn(ctx, func(conn *pgx.Conn) error {
		b.now, b.found = t.s.now(), make([]bulkRow, 0, len(b.pending))
		batch := &pgx.Batch{}
		// Sent together, it is one transaction without BEGIN and COMMIT. Citus would commit each statement by itself.
		distributed := t.db.Distributed()
		if distributed {
			batch.Queue("BEGIN")
			batch.Queue(shortLockTimeoutSQL)
		} else {
			batch.Queue(batchSettings)
		}
		t.queueClient(batch, b.client)
		for part := range slices.Chunk(b.pending, maxBulkRows) {
			batch.Queue(sql, b.args(t.s, part)...).Query(read)
		}
		if distributed {
			batch.Queue("COMMIT")
		}
		return postgres.Send(ctx, conn, batch)
	})
	t.s.lockTimeoutCounts.note(lockPathBatch, err)
	if postgres.LockTimeout(err) {
		return nil // updateLocked waits: what it has sent when its time is up is no COMMIT yet
	}
	if inDoubt := (*inDoubtError)(nil); errors.As(err, &inDoubt) {
		b.found = nil
		if _, err = t.s.resolveInDoubt(ctx, inDoubt, b.committed); err == nil {
			b.dropFound()
		}
		return err
	}
	if err == nil {
		b.dropFound()
	}
	return err
}

// dropFound removes the updates whose apps were found from the pending ones.
func (b *bulkUpdate) dropFound() {
	if len(b.found) == len(b.pending) {
		b.pending = nil
		return
	}
	done := make(map[uuid.UUID]bool, len(b.found))
	for _, row := range b.found {
		done[row.id] = true
	}
	b.pending = slices.DeleteFunc(slices.Clone(b.pending), func(u *appUpdate) bool { return done[u.ID] })
}

// committed is the commitProbe of writeBulk, which may not even know which rows it changed. It looks in the history for changes that the
// updates would have made: all were committed or none. An update without a change there stays pending.
func (b *bulkUpdate) committed(db *gorm.DB) (bool, error) {
	var changes []AppChange
	own := tenant.Of(db, b.client).Where("actor_id = ? AND request_id = ? AND changed_at >= ?", b.by.ID, b.by.RequestID, b.now)
	if err := whereIn(own, "app_id", b.pendingIDs()).Order("version").Find(&changes).Error; err != nil {
		return false, err
	}
	confirmed := false
	for _, c := range changes {
		u := b.find(c.AppID)
		value, sets := u.Fields[Column(c.Field)]
		if !sets {
			continue
		}
		text, err := json.Marshal(value)
		if err != nil {
			return false, err
		}
		if string(text) != c.NewValue {
			continue
		}
		if !confirmed { // whether it was this write, and not another one under the same request id
			p := &appPatch{Item: groupcommit.Item[AppKey]{Key: AppKey{ClientID: b.client, ID: u.ID}}, fields: u.Fields, by: b.by, now: b.now}
			if confirmed, err = p.committed(db); err != nil {
				return false, err
			}
		}
		if confirmed {
			b.found = append(b.found, bulkRow{c.AppID, c.Version})
		}
	}
	return confirmed, nil
}

// bulkShape is what tells the statement of one bulk update from that of another.
type bulkShape struct {
	sets uint32 // fields that any of the updates sets: a bit for each of appFields
	same bool   // all updates set the same values, which are then no lists
}

func (shape *bulkShape) add(fields Fields) {
	for i, f := range appFields {
		if _, ok := fields[f.column]; ok {
			shape.sets |= 1 << i
		}
	}
}

func (shape bulkShape) fields() (fields []appField) {
	for i, f := range appFields {
		if shape.sets&(1<<i) != 0 {
			fields = append(fields, f)
		}
	}
	return fields
}

// statement returns the statement that writes updates of this shape, or "" when they set nothing. gorm builds each shape once.
func (shape bulkShape) statement(s *Store) (string, error) {
	if shape.sets == 0 {
		return "", nil
	}
	if known, ok := s.bulkStatements.Load(shape); ok {
		return known.(string), nil //nolint:errcheck,forcetypeassert // what is stored below
	}
	sql, err := shape.build(s)
	if err == nil {
		s.bulkStatements.Store(shape, sql)
	}
	return sql, err
}

// The first parameters of the statement; its lists follow.
const (
	bulkClient = iota + 1
	bulkActor
	bulkName
	bulkRequest
	bulkNow
	bulkLists
)

// build has gorm build an UPDATE of a field map whose values come from a list of updates. It returns the key and the version of each row
// that it changed.
func (shape bulkShape) build(s *Store) (string, error) {
	if s.writer.Name() == postgres.Name {
		return shape.buildForPostgres(s)
	}
	param := func(n int, _ string) clause.Expr { return gorm.Expr(fmt.Sprintf("?%d", n)) }
	names, set := shape.columns(param)
	list := fmt.Sprintf("(SELECT %s FROM json_each(?%d)) AS updates", jsonColumns(names), bulkLists)
	return buildBulk(s, set, param, list, "id = update_id") // in the transaction that has locked the rows: SQLite has one writer
}

// columns returns the columns of the list, and the field map.
func (shape bulkShape) columns(param func(n int, pgType string) clause.Expr) (names []string, set Fields) {
	names, set = []string{"update_id"}, Fields{}
	for i, f := range shape.fields() {
		name := string(f.column)
		if shape.same {
			set[f.column] = param(bulkLists+1+i, f.pgType)
			continue
		}
		names = append(names, "update_"+name, "update_sets_"+name)
		set[f.column] = gorm.Expr("CASE WHEN update_sets_" + name + " THEN update_" + name + " ELSE " + name + " END")
	}
	return names, set
}

// buildForPostgres has gorm build two statements in one. The second returns the rows that have the values already, with the version 0.
func (shape bulkShape) buildForPostgres(s *Store) (string, error) {
	param := func(n int, pgType string) clause.Expr { return gorm.Expr(fmt.Sprintf("$%d::%s", n, pgType)) }
	names, set := shape.columns(param)
	arrays := []string{param(bulkLists, "uuid[]").SQL}
	if !shape.same {
		for _, f := range shape.fields() {
			n := bulkLists + len(arrays)
			arrays = append(arrays, param(n, f.pgType+"[]").SQL, param(n+1, "boolean[]").SQL)
		}
	}
	list := fmt.Sprintf("unnest(%s) AS updates (%s)", strings.Join(arrays, ", "), strings.Join(names, ", "))
	written, err := buildBulk(s, set, param, list, "id = update_id")
	session, client := s.writer.Session(&gorm.Session{DryRun: true, NewDB: true}), param(bulkClient, "uuid")
	unchanged := whereActive(tenant.Template(session, client).Model(&App{}), client)
	if shape.same {
		unchanged = unchanged.Where("id = ANY(" + arrays[0] + ")")
	} else {
		current := unchanged.Select("client_id, id, " + strings.Join(appFieldNames(), ", "))
		unchanged = tenant.Template(session, client).Table("(?) AS these", current).Joins(", " + list).Where("id = update_id")
	}
	for _, column := range slices.Sorted(maps.Keys(set)) {
		unchanged = unchanged.Where(string(column)+" IS NOT DISTINCT FROM ?", set[column])
	}
	unchanged = unchanged.Select("id, 0").Find(&[]App{})
	return "WITH written AS (" + written + ") SELECT id, version FROM written UNION ALL " + unchanged.Statement.SQL.String(),
		errors.Join(err, unchanged.Error)
}

func buildBulk(s *Store, set Fields, param func(n int, pgType string) clause.Expr, list, join string) (string, error) {
	client := param(bulkClient, "uuid")
	extra := s.withFeedPosition(map[string]any{
		"actor_id": param(bulkActor, "uuid"), "actor_name": param(bulkName, "text"), "request_id": param(bulkRequest, "text"),
		"updated_at": s.monotonicUpdatedAt(param(bulkNow, "timestamptz")),
	})
	q := tenant.Template(s.writer.Session(&gorm.Session{DryRun: true, NewDB: true}), client).
		Clauses(clause.From{Tables: []clause.Table{{Raw: true, Name: list}}}).Clauses(returning("id", "version")).Where(join)
	res := set.patch(whereActive(q, client), &App{}, extra, 0)
	return res.Statement.SQL.String(), res.Error
}

// jsonColumns selects the elements of an array of arrays by their places.
func jsonColumns(names []string) string {
	columns := make([]string, len(names))
	for i, name := range names {
		columns[i] = fmt.Sprintf("value ->> %d AS %s", i, name)
	}
	return strings.Join(columns, ", ")
}

// args are the parameters of the statement.
func (b *bulkUpdate) args(s *Store, updates []*appUpdate) []any {
	args := []any{pgtype.UUID{Bytes: b.client, Valid: true}, pgtype.UUID{Bytes: b.by.ID, Valid: true}, b.by.Name, b.by.RequestID, b.now}
	columns := []func(*appUpdate) any{func(u *appUpdate) any { return &u.key }}
	var same []any
	for _, f := range b.shape.fields() {
		if b.shape.same {
			same = append(same, b.same[f.column])
			continue
		}
		columns = append(columns, func(u *appUpdate) any { return u.Fields[f.column] },
			func(u *appUpdate) any { _, sets := u.Fields[f.column]; return sets })
	}
	if s.writer.Name() == postgres.Name {
		for _, of := range columns {
			args = append(args, postgres.ArrayOf(updates, of))
		}
		return append(args, same...)
	}
	rows := make([][]any, len(updates))
	for i, u := range updates {
		rows[i] = make([]any, len(columns))
		for j, of := range columns {
			rows[i][j] = of(u)
		}
	}
	return append(append(args, sqlite.Array{Values: rows}), same...)
}
