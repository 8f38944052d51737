// Package validate holds request bodies to the schemas of an OpenAPI document and decodes them into the types that generated
// code has for them. A schema that is flat is compiled into a decoder of one pass when the server starts. What that decoder
// cannot decide goes to the strict parser and to kin-openapi, whose word is final.
package validate

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/oapi-codegen/runtime"

	"github.com/clientapps/clientapps/server/strictjson"
)

// Formats are validators of texts, by the name that a schema has in its keyword format.
type Formats map[string]openapi3.StringFormatValidator

// Body is the schema of a JSON object, prepared once.
type Body struct {
	schema   *openapi3.Schema
	target   reflect.Type // a struct; nil when nothing is decoded
	maxNodes int
	readOnly map[string]string // field that may not be written -> reason
	options  []openapi3.SchemaValidationOption
	compiled *decoder // nil: every body goes to the parser and the validator
}

// NewBody prepares a schema. A body may have maxNodes values and names (0: any number) and is decoded into a new target, a
// struct type of generated code. The schema's x-read-only-reasons, an object of texts, names fields that exist and may not be
// written. A target of nil makes a Body that only Check is asked of.
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
	if target != nil {
		b.compiled = b.compile()
	}
	return b, nil
}

// Schema is what the body is held to.
func (b *Body) Schema() *openapi3.Schema { return b.schema }

// Compiled reports whether ordinary bodies are decoded in one pass.
func (b *Body) Compiled() bool { return b.compiled != nil }

// Decode reads a body and returns a pointer to a new target, and how many values and names the body has. The error is a
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
		return nil, 0, b.fieldErrors(doc, nil)
	}
	if err := b.visit(b.schema, doc.Value); err != nil {
		return nil, 0, b.fieldErrors(doc, err)
	}
	target = reflect.New(b.target).Interface()
	if err := runtime.BindJSONValue(doc.Value, target); err != nil {
		return nil, 0, &MismatchError{cause: err}
	}
	return target, doc.Nodes, nil
}

// Parse reads a text as strictly as a body. The values of fields that the schema does not have are not kept.
func (b *Body) Parse(text []byte) (strictjson.Document, error) {
	return strictjson.Parse(text, strictjson.Options{MaxNodes: b.maxNodes, Keep: b.takes})
}

// takes reports whether the body may have this field.
func (b *Body) takes(name string) bool {
	_, readOnly := b.readOnly[name]
	return b.schema.Properties[name] != nil && !readOnly
}

// visit holds a value to a schema.
func (b *Body) visit(schema *openapi3.Schema, value any) error {
	return schema.VisitJSON(value, b.options...)
}
