// Package validate checks request bodies against the schemas of an OpenAPI document and decodes them into generated types. A flat
// schema is compiled into a single-pass decoder when the server starts. Bodies that the decoder cannot decide go to the strict
// parser and to kin-openapi, which have the final word.
package validate

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/oapi-codegen/runtime"

	"github.com/clientapps/clientapps/server/strictjson"
)

// Formats are validators of strings by format name.
type Formats map[string]openapi3.StringFormatValidator

// Body is a prepared schema of a JSON object.
type Body struct {
	schema   *openapi3.Schema
	target   reflect.Type // a struct; nil if nothing is decoded
	maxNodes int
	readOnly map[string]string // reasons by field that cannot be written
	items    map[string]*Body  // of the fields that are arrays of objects
	options  []openapi3.SchemaValidationOption
	compiled *decoder // nil: every body goes to the parser and the validator
}

// NewBody prepares a schema. A body may have maxNodes values and names (0: no bound) and is decoded into a new target, a
// generated struct type. The schema extension x-read-only-reasons, an object of strings, names fields that exist and cannot be
// written. With a nil target only Check may be called.
func NewBody(schema *openapi3.Schema, target reflect.Type, maxNodes int, formats Formats) (*Body, error) {
	b := &Body{schema: schema, target: target, maxNodes: maxNodes, options: []openapi3.SchemaValidationOption{
		openapi3.VisitAsRequest(), openapi3.WithStringFormatValidators(formats),
	}}
	if reasons, ok := schema.Extensions["x-read-only-reasons"]; ok {
		text, err := json.Marshal(reasons)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, &b.readOnly); err != nil {
			return nil, fmt.Errorf("x-read-only-reasons: %w", err)
		}
	}
	if target == nil {
		return b, nil
	}
	for name, property := range schema.Properties {
		items, index := property.Value.Items, fieldNamed(target, name)
		if items == nil || !items.Value.Type.Is(openapi3.TypeObject) || index < 0 || target.Field(index).Type.Kind() != reflect.Slice {
			continue
		}
		item, err := NewBody(items.Value, target.Field(index).Type.Elem(), maxNodes, formats)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if b.items == nil {
			b.items = map[string]*Body{}
		}
		b.items[name] = item
	}
	b.compiled = b.compile()
	return b, nil
}

// Nested reports whether a field is an array of objects. The pointers of such errors are more precise than their fields.
func (b *Body) Nested() bool { return b.items != nil }

// Schema returns the schema.
func (b *Body) Schema() *openapi3.Schema { return b.schema }

// Compiled reports whether there is a single-pass decoder.
func (b *Body) Compiled() bool { return b.compiled != nil }

// Decode decodes a body and returns a pointer to a new target, and the number of values and names in the body. The error is a
// strictjson.SyntaxError, FieldErrors or a *MismatchError.
func (b *Body) Decode(text []byte) (target any, nodes int, err error) {
	if b.compiled != nil {
		if target, nodes, ok := b.compiled.decode(text); ok {
			return target, nodes, nil
		}
	}
	return b.decodeStrictly(text)
}

// decodeStrictly is Decode without the compiled decoder.
func (b *Body) decodeStrictly(text []byte) (target any, nodes int, err error) {
	doc, err := b.Parse(text)
	if err != nil {
		return nil, 0, err
	}
	if doc.Dropped {
		return nil, 0, b.fieldErrors(text, doc, nil)
	}
	if err := b.visit(b.schema, doc.Value); err != nil {
		return nil, 0, b.fieldErrors(text, doc, err)
	}
	target = reflect.New(b.target).Interface()
	if err := runtime.BindJSONValue(doc.Value, target); err != nil {
		return nil, 0, &MismatchError{cause: err}
	}
	return target, doc.Nodes, nil
}

// Parse parses a text as strictly as a body. It drops the values of fields that the schema does not have.
func (b *Body) Parse(text []byte) (strictjson.Document, error) {
	return strictjson.Parse(text, strictjson.Options{MaxNodes: b.maxNodes, Keep: b.hasWritableField})
}

// hasWritableField reports whether the body may have this field.
func (b *Body) hasWritableField(name string) bool {
	_, readOnly := b.readOnly[name]
	return b.schema.Properties[name] != nil && !readOnly
}

// visit validates a value against a schema.
func (b *Body) visit(schema *openapi3.Schema, value any) error {
	return schema.VisitJSON(value, b.options...)
}
