package operations

import (
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

// Property is a property of an object's schema.
type Property struct {
	Name     string
	Required bool
	Schema   *openapi3.Schema
}

// Properties returns the properties of an object by name, those of its allOf, oneOf and anyOf included. Where alternatives differ in a
// property, it has the schema of one of them.
func Properties(schema *openapi3.Schema) []Property {
	byName := map[string]Property{}
	var required []string
	var collect func(s *openapi3.Schema)
	collect = func(s *openapi3.Schema) {
		for _, part := range s.AllOf {
			collect(part.Value)
		}
		requiredBefore := required
		for _, part := range slices.Concat(s.OneOf, s.AnyOf) {
			collect(part.Value)
		}
		required = requiredBefore // an alternative requires nothing of the others
		for name, ref := range s.Properties {
			byName[name] = Property{Name: name, Schema: ref.Value}
		}
		required = append(required, s.Required...)
	}
	collect(schema)
	var all []Property
	for name, p := range byName {
		p.Required = slices.Contains(required, name)
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b Property) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return all
}

// Type returns the type of a schema, that of its allOf, oneOf or anyOf included: string, integer, number, boolean, array, object, or "" for any.
func Type(schema *openapi3.Schema) string {
	if types := schema.Type.Slice(); len(types) > 0 {
		i := slices.IndexFunc(types, func(t string) bool { return t != "null" })
		if i < 0 {
			return ""
		}
		return types[i]
	}
	for _, part := range slices.Concat(schema.AllOf, schema.OneOf, schema.AnyOf) {
		if t := Type(part.Value); t != "" {
			return t
		}
	}
	return ""
}

// Nullable reports whether a schema allows null.
func Nullable(schema *openapi3.Schema) bool {
	return schema.Nullable || schema.Type.Includes("null")
}

// Enum returns the values that a schema allows, or nil if it does not list them.
func Enum(schema *openapi3.Schema) []any {
	if len(schema.Enum) > 0 {
		return schema.Enum
	}
	for _, part := range schema.AllOf {
		if values := Enum(part.Value); values != nil {
			return values
		}
	}
	return nil
}

// Items returns the schema of an array's items. It has no constraints if the array's schema does not say.
func Items(schema *openapi3.Schema) *openapi3.Schema {
	if schema.Items != nil && schema.Items.Value != nil {
		return schema.Items.Value
	}
	for _, part := range schema.AllOf {
		if part.Value.Items != nil {
			return part.Value.Items.Value
		}
	}
	return &openapi3.Schema{}
}
