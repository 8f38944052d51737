package store

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/clientapps/clientapps/store/fold"
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
)

// The columns that a list may be sorted by, beside the names above.
const (
	ColumnCreatedAt Column = "created_at"
	ColumnUpdatedAt Column = "updated_at"
	ColumnPattern   Column = "pattern"
	ColumnAlias     Column = "alias"
	ColumnVersion   Column = "version"
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

// patch is update for a row of which a field differs. No row is affected when none does, when key selects none or when its
// version is another one. The row that gorm fills is void then: it holds the new values although nothing was written.
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

// update is the one statement that changes a row: it sets fields, and also the columns that go with every change, of the row
// that key selects.
func (f Fields) update(key *gorm.DB, row any, also map[string]any) *gorm.DB {
	set := map[string]any{"version": gorm.Expr("version + 1")}
	maps.Copy(set, also)
	for column, value := range f {
		set[string(column)] = value
	}
	return key.Model(row).Updates(set)
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

func (c Client) fields() Fields { return Fields{ColumnName: c.Name} }

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
		return map[string]any{"name_key": fold.Name(v)}
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

// notEarlier is the time of a write to a row that is there already, for its column updated_at: now, a time or what stands for
// it, unless the row has a later time. A statement may wait for the row, and clocks step back and differ between servers; the
// database compares when it has the row.
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
