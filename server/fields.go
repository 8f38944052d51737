package server

import (
	"strconv"

	"github.com/oapi-codegen/nullable"

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

// catalogAppFields returns the columns that the patch sets. The categories are not a column: they are passed separately.
func catalogAppFields(p gen.CatalogAppPatch) store.Fields {
	fields := store.Fields{}
	setValue(fields, store.ColumnCanonicalName, p.CanonicalName)
	setNullable(fields, store.ColumnDescription, p.Description)
	setNullable(fields, store.ColumnDisplayColour, p.DisplayColour)
	setNullable(fields, store.ColumnLogo, p.Logo)
	setNullable(fields, store.ColumnType, p.Type)
	setNullable(fields, store.ColumnVendorID, p.VendorID)
	return fields
}

func newCatalogAppFields(b gen.CatalogAppCreate) store.Fields {
	return catalogAppFields(gen.CatalogAppPatch{
		CanonicalName: &b.CanonicalName, Description: b.Description, DisplayColour: b.DisplayColour, Logo: b.Logo,
		Type: b.Type, VendorID: b.VendorID,
	})
}

func vendorFields(p gen.CatalogVendorPatch) store.Fields {
	fields := store.Fields{}
	setValue(fields, store.ColumnName, p.Name)
	setNullable(fields, store.ColumnURL, p.URL)
	return fields
}

func newVendorFields(b gen.CatalogVendorCreate) store.Fields {
	return vendorFields(gen.CatalogVendorPatch{Name: &b.Name, URL: b.URL})
}

func categoryFields(p gen.CatalogCategoryPatch) store.Fields {
	fields := store.Fields{}
	setValue(fields, store.ColumnName, p.Name)
	return fields
}

func newCategoryFields(b gen.CatalogCategoryCreate) store.Fields {
	return categoryFields(gen.CatalogCategoryPatch{Name: &b.Name})
}

func clientFields(p gen.ClientPatch) store.Fields {
	fields := store.Fields{}
	setValue(fields, store.ColumnName, p.Name)
	if p.Status != nil {
		fields[store.ColumnStatus] = string(*p.Status)
	}
	return fields
}

// ids returns an optional list of ids, for which absent and empty mean the same.
func ids(p *[]gen.UUID) []gen.UUID {
	if p == nil {
		return nil
	}
	return *p
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
