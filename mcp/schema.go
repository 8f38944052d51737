package mcp

import (
	"errors"
	"fmt"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/clientapps/clientapps/operations"
)

// inputSchema returns the JSON Schema (2020-12) of an object with these arguments.
func inputSchema(arguments []*operations.Argument) (map[string]any, error) {
	properties, required := map[string]any{}, []string{}
	for _, a := range arguments {
		schema, err := jsonSchema(a.Schema)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.Name, err)
		}
		if a.Description != "" {
			schema["description"] = a.Description
		}
		properties[a.Name] = schema
		if a.Required {
			required = append(required, a.Name)
		}
	}
	schema := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema, nil
}

// jsonSchema returns a schema of OpenAPI 3.0 as JSON Schema (2020-12), with references resolved: nullable is the type null, and a
// bound that is exclusive stands by itself. Extensions and discriminators are left out. It refuses a schema that it would translate wrongly.
func jsonSchema(s *openapi3.Schema) (map[string]any, error) {
	if s.Not != nil || len(s.PrefixItems) > 0 || s.If != nil || s.Const != nil {
		return nil, errors.New("a schema has a keyword of OpenAPI 3.1, or not")
	}
	out := map[string]any{}
	addType(out, s)
	for name, text := range map[string]string{"title": s.Title, "description": s.Description, "format": s.Format, "pattern": s.Pattern} {
		if text != "" {
			out[name] = text
		}
	}
	addBounds(out, s)
	if s.Default != nil {
		out["default"] = s.Default
	}
	if s.Example != nil {
		out["examples"] = []any{s.Example}
	}
	for name, is := range map[string]bool{
		"uniqueItems": s.UniqueItems, "deprecated": s.Deprecated, "readOnly": s.ReadOnly, "writeOnly": s.WriteOnly,
	} {
		if is {
			out[name] = true
		}
	}
	return out, addParts(out, s)
}

func addType(out map[string]any, s *openapi3.Schema) {
	types := slices.Clone(s.Type.Slice())
	enum := s.Enum
	if operations.Nullable(s) {
		if len(types) > 0 && !slices.Contains(types, "null") {
			types = append(types, "null")
		}
		if len(enum) > 0 && !slices.Contains(enum, nil) {
			enum = append(slices.Clone(enum), nil)
		}
	}
	switch len(types) {
	case 0:
	case 1:
		out["type"] = types[0]
	default:
		out["type"] = types
	}
	if len(enum) > 0 {
		out["enum"] = enum
	}
}

func addBounds(out map[string]any, s *openapi3.Schema) {
	addLimit(out, "minimum", "exclusiveMinimum", s.Min, s.ExclusiveMin)
	addLimit(out, "maximum", "exclusiveMaximum", s.Max, s.ExclusiveMax)
	if s.MultipleOf != nil {
		out["multipleOf"] = *s.MultipleOf
	}
	for name, least := range map[string]uint64{"minLength": s.MinLength, "minItems": s.MinItems, "minProperties": s.MinProps} {
		if least > 0 {
			out[name] = least
		}
	}
	for name, most := range map[string]*uint64{"maxLength": s.MaxLength, "maxItems": s.MaxItems, "maxProperties": s.MaxProps} {
		if most != nil {
			out[name] = *most
		}
	}
}

func addLimit(out map[string]any, name, exclusive string, limit *float64, bound openapi3.ExclusiveBound) {
	switch {
	case bound.Value != nil:
		out[exclusive] = *bound.Value
	case limit != nil && bound.IsTrue():
		out[exclusive] = *limit
		return
	}
	if limit != nil {
		out[name] = *limit
	}
}

// addParts adds the schemas within a schema.
func addParts(out map[string]any, s *openapi3.Schema) error {
	for name, refs := range map[string]openapi3.SchemaRefs{"allOf": s.AllOf, "anyOf": s.AnyOf, "oneOf": s.OneOf} {
		var parts []any
		for _, ref := range refs {
			part, err := jsonSchema(ref.Value)
			if err != nil {
				return err
			}
			parts = append(parts, part)
		}
		if parts != nil {
			out[name] = parts
		}
	}
	if s.Items != nil {
		items, err := jsonSchema(s.Items.Value)
		if err != nil {
			return err
		}
		out["items"] = items
	}
	if len(s.Properties) > 0 {
		properties := map[string]any{}
		for name, ref := range s.Properties {
			property, err := jsonSchema(ref.Value)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			properties[name] = property
		}
		out["properties"] = properties
	}
	if len(s.Required) > 0 {
		out["required"] = s.Required
	}
	switch more := s.AdditionalProperties; {
	case more.Schema != nil:
		schema, err := jsonSchema(more.Schema.Value)
		if err != nil {
			return err
		}
		out["additionalProperties"] = schema
	case more.Has != nil:
		out["additionalProperties"] = *more.Has
	}
	return nil
}
