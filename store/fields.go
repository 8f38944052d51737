package store

import (
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/clientapps/clientapps/store/casefold"
	"github.com/clientapps/clientapps/store/postgres"
	"github.com/clientapps/clientapps/store/sqlite"
)

// Column is a column that a patch may set, or that a list may be sorted by. Client text never becomes one: the constants
// below are all there are.
type Column string

// The columns of the catalog and of clients that a patch may set.
const (
	ColumnCanonicalName Column = "canonical_name"
	ColumnDescription   Column = "description"
	ColumnDisplayColour Column = "display_colour"
	ColumnLogo          Column = "logo"
	ColumnType          Column = "type"
	ColumnVendorID      Column = "vendor_id"
	ColumnName          Column = "name"
	ColumnURL           Column = "url"
	ColumnStatus        Column = "status"
	ColumnFields        Column = "fields"
)

// The columns that a list may be sorted by, beside the names above.
const (
	ColumnCreatedAt Column = "created_at"
	ColumnUpdatedAt Column = "updated_at"
	ColumnPattern   Column = "pattern"
	ColumnAlias     Column = "alias"
	ColumnVersion   Column = "version"

	ColumnAttemptedAt Column = "attempted_at"
)

// Fields is a patch: a column that is absent keeps its value, nil clears it, any other value sets it.
type Fields map[Column]any

// in says whether a row, given as the columns that a patch may set, has every value of the patch already.
func (f Fields) in(row Fields) bool {
	for column, value := range f {
		if have, ok := row[column]; !ok || have != value {
			return false
		}
	}
	return true
}

// orNil is a nullable column's value as Fields has it.
func orNil[T any](value *T) any {
	if value == nil {
		return nil
	}
	return *value
}

func (a CatalogApp) fields() Fields {
	return Fields{
		ColumnCanonicalName: a.CanonicalName, ColumnDescription: orNil(a.Description),
		ColumnDisplayColour: orNil(a.DisplayColour), ColumnLogo: orNil(a.Logo), ColumnType: orNil(a.Type),
		ColumnVendorID: orNil(a.VendorID),
	}
}

// set gives the catalog app the values of a patch. The key of its name is not touched.
func (a *CatalogApp) set(f Fields) {
	if name := f.text(ColumnCanonicalName); name != nil {
		a.CanonicalName = *name
	}
	for column, field := range map[Column]**string{
		ColumnDescription: &a.Description, ColumnDisplayColour: &a.DisplayColour, ColumnLogo: &a.Logo, ColumnType: &a.Type,
	} {
		if _, given := f[column]; given {
			*field = f.text(column)
		}
	}
	if _, given := f[ColumnVendorID]; given {
		a.VendorID = f.id(ColumnVendorID)
	}
}

func (v Vendor) fields() Fields { return Fields{ColumnName: v.Name, ColumnURL: orNil(v.URL)} }

func (c Category) fields() Fields { return Fields{ColumnName: c.Name} }

func (c Client) fields() Fields { return Fields{ColumnName: c.Name, ColumnStatus: c.Status} }

// text returns a text that the patch sets, or nil.
func (f Fields) text(column Column) *string {
	if v, ok := f[column].(string); ok {
		return &v
	}
	return nil
}

// id returns an id that the patch sets, or nil.
func (f Fields) id(column Column) *uuid.UUID {
	if v, ok := f[column].(uuid.UUID); ok {
		return &v
	}
	return nil
}

// nameKey adds the folded form of a name that the patch sets.
func nameKey(f Fields, name Column) map[string]any {
	if v, ok := f[name].(string); ok {
		return map[string]any{"name_key": casefold.Name(v)}
	}
	return map[string]any{}
}

// whereIn selects rows whose column has one of the values, a slice. The slice is one parameter, so that the text of the statement
// does not depend on its length, and the database parses it once.
func whereIn(q *gorm.DB, column string, values any) *gorm.DB {
	if q.Name() == postgres.Name {
		return q.Where(column+" = ANY(?)", postgres.Array{Of: values})
	}
	element := "value"
	if _, ok := values.([][]byte); ok {
		element = "unhex(value)"
	}
	return q.Where(column+" IN (SELECT "+element+" FROM json_each(?))", sqlite.Array{Of: values})
}

// The columns of an app that a patch may set.
const (
	ColumnIsFavorite   Column = "is_favorite"
	ColumnIsApproved   Column = "is_approved"
	ColumnLicenseCount Column = "license_count"
)

// appField is a field of an app that a patch may set. What treats these fields alike is made from appFields: the statements of
// patches and what they return, reading, comparing, what became of a lost patch, imports.
type appField struct {
	column   Column
	kind     string // its type in PostgreSQL
	nullable bool

	get    func(*App) any      // the value as Fields has it
	set    func(a *App, v any) // takes what get returns
	target func(*App) any      // a pointer, for rows and JSON to be read into
}

// appFields are the fields of an app that a patch may set.
var appFields = []appField{
	valueField(ColumnIsFavorite, "boolean", func(a *App) *bool { return &a.IsFavorite }),
	valueField(ColumnIsApproved, "boolean", func(a *App) *bool { return &a.IsApproved }),
	nullableField(ColumnLicenseCount, "integer", func(a *App) **int32 { return &a.LicenseCount }),
}

// AppFieldColumns lists the columns of an app that a patch may set.
func AppFieldColumns() []Column {
	columns := make([]Column, len(appFields))
	for i, f := range appFields {
		columns[i] = f.column
	}
	return columns
}

// appFieldNames lists the same columns as texts.
func appFieldNames() []string {
	var names []string
	for _, column := range AppFieldColumns() {
		names = append(names, string(column))
	}
	return names
}

func valueField[T any](column Column, kind string, at func(*App) *T) appField {
	return appField{
		column: column, kind: kind,
		get:    func(a *App) any { return *at(a) },
		set:    func(a *App, v any) { *at(a), _ = v.(T) },
		target: func(a *App) any { return at(a) },
	}
}

func nullableField[T any](column Column, kind string, at func(*App) **T) appField {
	return appField{
		column: column, kind: kind, nullable: true,
		get: func(a *App) any { return orNil(*at(a)) },
		set: func(a *App, v any) {
			*at(a) = nil
			if value, ok := v.(T); ok {
				*at(a) = &value
			}
		},
		target: func(a *App) any { return at(a) },
	}
}

func (a App) fields() Fields {
	fields := make(Fields, len(appFields))
	for _, f := range appFields {
		fields[f.column] = f.get(&a)
	}
	return fields
}

// set gives the app the values of a patch.
func (a *App) set(patch Fields) {
	for _, f := range appFields {
		if value, ok := patch[f.column]; ok {
			f.set(a, value)
		}
	}
}

// appendTargets appends what appFields are scanned into, in their order.
func (a *App) appendTargets(targets []any) []any {
	for _, f := range appFields {
		targets = append(targets, f.target(a))
	}
	return targets
}

// typedAppFields gives the values of a patch that was JSON the types that Fields has.
func typedAppFields(patch Fields) (Fields, error) {
	var app App
	typed := make(Fields, len(patch))
	for _, f := range appFields {
		value, ok := patch[f.column]
		if !ok {
			continue
		}
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, f.target(&app)); err != nil {
			return nil, fmt.Errorf("%s: %w", f.column, err)
		}
		typed[f.column] = f.get(&app)
	}
	return typed, nil
}
