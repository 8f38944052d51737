package schemas

import (
	"fmt"
	"maps"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/clientapps/clientapps/server/validate"
	"github.com/clientapps/clientapps/store"
)

// Rows validates the rows of an imported file against the schemas of the requests that write the same fields.
type Rows struct{ body *validate.Body }

// CatalogRows are rows that describe catalog apps, with vendors and categories by name.
func CatalogRows() (*Rows, error) {
	c, err := readComponents()
	if err != nil {
		return nil, err
	}
	vendor := c.property("CatalogVendorCreate", "name")
	vendor.Nullable = true
	categories := c.property("CatalogAppCreate", "category_ids")
	category := c.property("CatalogCategoryCreate", "name")
	categories.Items = category.NewRef()
	columns := map[string]openapi3.Schema{
		"vendor": vendor, "vendor_url": c.property("CatalogVendorCreate", "url"), "categories": categories,
		"url_patterns": c.property("UrlPatternsReplace", "patterns"), "desktop_aliases": c.property("DesktopAliasesReplace", "aliases"),
	}
	for _, name := range []string{"canonical_name", "description", "display_colour", "logo", "type"} {
		columns[name] = c.property("CatalogAppCreate", name)
	}
	return c.rows(columns)
}

// AppRows are rows that name catalog apps for a client.
func AppRows() (*Rows, error) {
	c, err := readComponents()
	if err != nil {
		return nil, err
	}
	columns := map[string]openapi3.Schema{"canonical_name": c.property("CatalogAppCreate", "canonical_name")}
	for _, column := range store.AppFieldColumns() {
		columns[string(column)] = c.property("AppCreate", string(column))
	}
	return c.rows(columns)
}

// Columns returns the columns that a row may have, in alphabetical order. Every row must have canonical_name.
func (r *Rows) Columns() []string { return slices.Sorted(maps.Keys(r.body.Schema().Properties)) }

// Property returns the schema of a column.
func (r *Rows) Property(column string) *openapi3.Schema {
	return r.body.Schema().Properties[column].Value
}

// Problem is an error in a row: in one of its fields, or in the row as a whole if Field is "".
type Problem struct{ Field, Message string }

// ParseJSON parses a row from a JSON object, as strictly as a request body. It returns the valid fields and the errors of the
// others.
func (r *Rows) ParseJSON(text []byte) (fields map[string]any, problems []Problem) {
	doc, err := r.body.Parse(text)
	if err != nil {
		return nil, []Problem{{Message: "the row " + err.Error()}}
	}
	object, ok := doc.Value.(map[string]any)
	if !ok {
		return nil, []Problem{{Message: "the row must be a JSON object"}}
	}
	return object, r.Check(object, doc.Keys)
}

// Check removes the invalid fields and returns their errors. keys are the fields to check, in the order of the row.
func (r *Rows) Check(fields map[string]any, keys []string) (problems []Problem) {
	missing := ""
	for _, name := range r.body.Schema().Required {
		if _, ok := fields[name]; !ok {
			missing = name
		}
	}
	for _, name := range keys {
		if v, bad := r.body.Check(name, fields[name]); bad {
			problems = append(problems, Problem{v.Field, v.Message})
			delete(fields, name)
		}
	}
	if missing != "" {
		problems = append(problems, Problem{missing, missing + " is required"})
	}
	return problems
}

// components has the contract's schemas, and the last requested property that does not exist.
type components struct {
	all     openapi3.Schemas
	missing string
}

func readComponents() (*components, error) {
	doc, err := Contract()
	if err != nil {
		return nil, err
	}
	return &components{all: doc.Components.Schemas}, nil
}

// property returns a copy of the schema of an object's property.
func (s *components) property(object, name string) openapi3.Schema {
	if of := s.all[object]; of != nil && of.Value.Properties[name] != nil {
		return *of.Value.Properties[name].Value
	}
	s.missing = object + "." + name
	return openapi3.Schema{}
}

func (s *components) rows(columns map[string]openapi3.Schema) (*Rows, error) {
	body, err := s.object(columns, "canonical_name")
	return &Rows{body: body}, err
}

// object makes an object schema with these properties.
func (s *components) object(properties map[string]openapi3.Schema, required ...string) (*validate.Body, error) {
	if s.missing != "" {
		return nil, fmt.Errorf("read contract: there is no %s", s.missing)
	}
	object := &openapi3.Schema{Properties: openapi3.Schemas{}, Required: required}
	for name, schema := range properties {
		object.Properties[name] = schema.NewRef()
	}
	return NewBody(object, nil)
}
