package server

import (
	"strconv"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/store"
)

// appFields returns the columns that the patch sets: an absent field is not in the map, null is nil.
func appFields(p gen.AppPatch) store.Fields {
	fields := store.Fields{}
	setValue(fields, store.ColumnIsFavorite, p.IsFavorite)
	setValue(fields, store.ColumnIsApproved, p.IsApproved)
	setNullable(fields, store.ColumnLicenseCount, p.LicenseCount)
	return fields
}

// newAppFields returns the columns of a new app that differ from the defaults.
func newAppFields(b gen.AppCreate) store.Fields {
	return appFields(gen.AppPatch{IsFavorite: b.IsFavorite, IsApproved: b.IsApproved, LicenseCount: b.LicenseCount})
}

// appendAppFields appends the same fields as JSON, each with a comma before it.
func appendAppFields(b []byte, a *store.App) []byte {
	b = strconv.AppendBool(append(b, `,"is_favorite":`...), a.IsFavorite)
	b = strconv.AppendBool(append(b, `,"is_approved":`...), a.IsApproved)
	b = append(b, `,"license_count":`...)
	if a.LicenseCount == nil {
		return append(b, "null"...)
	}
	return strconv.AppendInt(b, int64(*a.LicenseCount), 10)
}
