package store

import (
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// appColumns is what a patch asks back of the row that it changed: the rest is known. read scans them in this order.
var appColumns = []clause.Column{
	{Name: "catalog_app_id"},
	{Name: "is_favorite"},
	{Name: "is_approved"},
	{Name: "license_count"},
	{Name: "version"},
	{Name: "created_at"},
	{Name: "updated_at"},
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
func (s *Store) statement(p *appPatch) (*appStatement, error) {
	shape := p.shape()
	if st, ok := s.statements.Load(shape); ok {
		return st.(*appStatement), nil //nolint:errcheck,forcetypeassert // nothing else is stored
	}
	dry := s.write.Session(&gorm.Session{DryRun: true, NewDB: true})
	q := dry.Where("client_id = ? AND id = ?", slotClient, slotID)
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
	res := fields.patch(q.Clauses(clause.Returning{Columns: appColumns}), &App{}, map[string]any{
		"actor_id": slotActor, "actor_name": slotName, "request_id": slotRequest, "updated_at": s.notEarlier(slotNow),
	}, 0)
	if res.Error != nil {
		return nil, res.Error
	}
	st := &appStatement{sql: res.Statement.SQL.String()}
	for _, v := range res.Statement.Vars {
		st.slots = append(st.slots, v.(slot)) //nolint:errcheck,forcetypeassert // what was put in above
	}
	s.statements.Store(shape, st)
	return st, nil
}

// shape is what tells one statement from another.
func (p *appPatch) shape() string {
	var shape strings.Builder
	for _, column := range [...]Column{ColumnIsApproved, ColumnIsFavorite, ColumnLicenseCount} {
		if _, ok := p.fields[column]; ok {
			shape.WriteString(string(column))
		}
	}
	if p.at.row != 0 {
		shape.WriteByte('v')
	}
	if p.at.catalog != 0 {
		shape.WriteByte('c')
	}
	return shape.String()
}

// appParams is the values of a patch in the driver's own types, whose addresses it takes without an allocation each.
type appParams struct {
	client, id, actor pgtype.UUID
	name, request     pgtype.Text
	now               pgtype.Timestamptz
	version, revision pgtype.Int8
	list              [14]any // no statement has more
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

// patchedRow is what a patch gets back.
type patchedRow struct {
	catalogApp         pgtype.UUID
	favorite, approved bool
	licenses           pgtype.Int4
	version            int64
	created, updated   pgtype.Timestamptz
}

// targets are what the columns are scanned into, in the order of appColumns.
func (r *patchedRow) targets() []any {
	return []any{&r.catalogApp, &r.favorite, &r.approved, &r.licenses, &r.version, &r.created, &r.updated}
}

func (p *appPatch) take(row patchedRow) {
	a := &p.app
	a.CatalogAppID, a.IsFavorite, a.IsApproved = row.catalogApp.Bytes, row.favorite, row.approved
	a.Version, a.CreatedAt, a.UpdatedAt = row.version, row.created.Time, row.updated.Time
	if a.LicenseCount = nil; row.licenses.Valid {
		a.LicenseCount = &row.licenses.Int32
	}
	p.changed = true
}
