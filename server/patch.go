package server

import (
	"github.com/oapi-codegen/nullable"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/store"
)

// appFields lists the columns that this patch sets: absent is not in the map, null is nil.
func appFields(p gen.AppPatch) store.Fields {
	fields := store.Fields{}
	setValue(fields, store.ColumnIsFavorite, p.IsFavorite)
	setValue(fields, store.ColumnIsApproved, p.IsApproved)
	setNullable(fields, store.ColumnLicenseCount, p.LicenseCount)
	return fields
}

func setValue[T any](fields store.Fields, column store.Column, value *T) {
	if value != nil {
		fields[column] = *value
	}
}

func setNullable[T any](fields store.Fields, column store.Column, value nullable.Nullable[T]) {
	if value.IsNull() {
		fields[column] = nil
	} else if value.IsSpecified() {
		fields[column] = value.MustGet()
	}
}
