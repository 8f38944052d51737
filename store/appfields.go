package store

import (
	"encoding/json"
	"fmt"
)

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
