package server

import (
	"github.com/oapi-codegen/nullable"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/store"
)

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
