package store

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/clientapps/clientapps/store/tenant"
)

// patchedColumns is what a patch asks back of the row that it changed: the rest is known.
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
	fields := Fields{}
	for column := range p.fields {
		fields[column] = slot(column)
	}
	res := fields.patch(q.Clauses(returning(patchedColumns...)), &App{}, map[string]any{
		"actor_id": slotActor, "actor_name": slotName, "request_id": slotRequest, "updated_at": t.s.notEarlier(slotNow),
	}, 0)
	if res.Error != nil {
		return nil, res.Error
	}
	st := &appStatement{sql: res.Statement.SQL.String()}
	for _, v := range res.Statement.Vars {
		st.slots = append(st.slots, v.(slot)) //nolint:errcheck,forcetypeassert // what was put in above
	}
	more := maps.Clone(*shapes)
	more[shape] = st
	t.shapes.CompareAndSwap(shapes, &more) // who loses builds it again next time
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
