package rowfile

import (
	"iter"

	"github.com/clientapps/clientapps/server/schemas"
	"github.com/clientapps/clientapps/store"
)

// convertRows turns rows of a file into rows of the store. A row with problems is passed on with its name alone, so that the store
// can report another row with the same name.
func convertRows[T any](rows iter.Seq2[parsedRow, error], convert func(parsedRow) (row T, problem schemas.Problem)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		for parsed, err := range rows {
			if err != nil {
				yield(zero, err)
				return
			}
			row, problem := zero, schemas.Problem{}
			name, named := parsed.fields["canonical_name"]
			if len(parsed.problems) == 0 {
				row, problem = convert(parsed)
			} else if named {
				row, _ = convert(parsedRow{line: parsed.line, fields: map[string]any{"canonical_name": name}})
			}
			if problem.Message != "" {
				parsed.problems = append(parsed.problems, problem)
			}
			for _, problem := range parsed.problems {
				if !yield(zero, &store.RowError{Line: parsed.line, Field: problem.Field, Message: problem.Message}) {
					return
				}
			}
			if named && !yield(row, nil) {
				return
			}
		}
	}
}

func catalogRow(p parsedRow) (row store.CatalogRow, problem schemas.Problem) {
	row = store.CatalogRow{Line: p.line, Fields: store.Fields{}}
	for _, column := range []store.Column{
		store.ColumnCanonicalName, store.ColumnDescription, store.ColumnDisplayColour, store.ColumnLogo, store.ColumnType,
	} {
		if value, given := p.fields[string(column)]; given {
			row.Fields[column] = value
		}
	}
	vendor, given := p.fields[columnVendor]
	if given {
		row.Vendor = store.Fields{}
	}
	url, hasURL := p.fields[columnVendorURL]
	switch {
	case vendor != nil:
		row.Vendor[store.ColumnName] = vendor
		if hasURL {
			row.Vendor[store.ColumnURL] = url
		}
	case url != nil:
		problem = schemas.Problem{Field: columnVendorURL, Message: "vendor_url needs a vendor"}
	}
	row.Categories = texts(p.fields[columnCategories])
	row.URLPatterns = texts(p.fields[columnURLPatterns])
	row.DesktopAliases = texts(p.fields[columnDesktopAliases])
	return row, problem
}

// texts returns an array of strings, or nil when the value is absent.
func texts(value any) []string {
	items, given := value.([]any)
	if !given {
		return nil
	}
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i], _ = item.(string)
	}
	return texts
}

func appRow(p parsedRow) (row store.AppRow, problem schemas.Problem) {
	row = store.AppRow{Line: p.line, Fields: store.Fields{}}
	row.Name, _ = p.fields["canonical_name"].(string)
	for _, column := range store.AppFieldColumns() {
		if value, given := p.fields[string(column)]; given {
			row.Fields[column] = value
		}
	}
	return row, schemas.Problem{}
}
