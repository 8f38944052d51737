package validate

import (
	"bytes"
	"reflect"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
)

// decoder decodes the bodies of one schema in one pass. If it accepts a body, the strict parser and the validator accept it too
// and decode the same value. It never refuses a body: where it cannot decide, it leaves the body to them.
type decoder struct {
	target   reflect.Type
	fields   []field
	required uint64 // a bit for each field
	maxNodes int
}

// field is a property of the schema and the struct field that has its value.
type field struct {
	name     []byte // in quotes
	index    int    // of the struct field
	nullable bool
	set      setter
	null     func(field any) bool
}

// visitor validates a value against a schema, with the server's options.
type visitor func(schema *openapi3.Schema, value any) error

// compile makes a decoder, or returns nil if the schema or the target has anything that it does not support.
func (b *Body) compile() *decoder {
	rest := *b.schema
	rest.Properties, rest.Required = nil, nil
	closed := rest.AdditionalProperties.Has != nil && !*rest.AdditionalProperties.Has
	rest.AdditionalProperties = openapi3.AdditionalProperties{}
	if !closed || !hasOnlyType(rest, openapi3.TypeObject) || b.target.Kind() != reflect.Struct || len(b.schema.Properties) > 64 {
		return nil
	}
	d := &decoder{target: b.target, maxNodes: b.maxNodes}
	for name, property := range b.schema.Properties {
		f, ok := b.compileField(name, property.Value)
		if !ok || !b.hasWritableField(name) {
			return nil
		}
		if slices.Contains(b.schema.Required, name) {
			d.required |= 1 << len(d.fields)
		}
		d.fields = append(d.fields, f)
	}
	for _, name := range b.schema.Required {
		if b.schema.Properties[name] == nil {
			return nil
		}
	}
	return d
}

func (b *Body) compileField(name string, schema *openapi3.Schema) (field, bool) {
	f := field{name: []byte(`"` + name + `"`), nullable: schema.Nullable}
	if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		return field{}, false
	}
	if f.index = fieldNamed(b.target, name); f.index < 0 {
		return field{}, false
	}
	if item := b.items[name]; item != nil {
		f.set = compileObjects(*schema, item.compiled)
		return f, f.set != nil
	}
	pointer := reflect.New(b.target.Field(f.index).Type).Interface()
	if f.set, f.null = compileValue(schema, pointer, b.visit); f.set == nil {
		return field{}, false
	}
	return f, !f.nullable || f.null(pointer)
}

// fieldNamed returns the index of the struct field with this JSON name, or -1.
func fieldNamed(target reflect.Type, name string) int {
	for i := range target.NumField() {
		if tag, _, _ := strings.Cut(target.Field(i).Tag.Get("json"), ","); tag == name && target.Field(i).IsExported() {
			return i
		}
	}
	return -1
}

// compileValue returns the functions that set a field to a value of the schema and to null. The setter is nil if the schema or
// the field type is not supported.
func compileValue(schema *openapi3.Schema, pointer any, visit visitor) (setter, func(any) bool) {
	rest := *schema
	rest.Nullable = false
	switch {
	case schema.Type.Is(openapi3.TypeBoolean) && hasOnlyType(rest, openapi3.TypeBoolean) && set(pointer, false):
		return reader[bool](readBoolean).into, setNull[bool]
	case schema.Type.Is(openapi3.TypeInteger):
		return compileInteger(rest, pointer)
	case isUUID(rest) && set(pointer, uuid.UUID{}):
		return reader[uuid.UUID](readUUID).into, setNull[uuid.UUID]
	case isText(rest) && set(pointer, ""):
		return textReader(schema, visit).into, setNull[string]
	case schema.Type.Is(openapi3.TypeArray):
		return compileArray(rest, pointer, visit)
	}
	return nil, nil
}

func compileInteger(schema openapi3.Schema, pointer any) (setter, func(any) bool) {
	bounds := boundsOf(schema)
	schema.Min, schema.Max = nil, nil
	if known := schema.Format; known == "" || known == "int32" || known == "int64" {
		schema.Format = ""
	}
	switch {
	case !hasOnlyType(schema, openapi3.TypeInteger):
		return nil, nil
	case set(pointer, int32(0)):
		return integerReader[int32](bounds).into, setNull[int32]
	case set(pointer, int64(0)):
		return integerReader[int64](bounds).into, setNull[int64]
	case set(pointer, 0):
		return integerReader[int](bounds).into, setNull[int]
	}
	return nil, nil
}

func compileArray(schema openapi3.Schema, pointer any, visit visitor) (setter, func(any) bool) {
	if schema.Items == nil || schema.MaxItems == nil || schema.Items.Value.Nullable {
		return nil, nil
	}
	items, minItems, maxItems := schema.Items.Value, schema.MinItems, *schema.MaxItems
	schema.Items, schema.MinItems, schema.MaxItems = nil, 0, nil
	switch {
	case !hasOnlyType(schema, openapi3.TypeArray):
		return nil, nil
	case isUUID(*items) && set(pointer, []uuid.UUID{}):
		return arrayReader(readUUID, minItems, maxItems).into, setNull[[]uuid.UUID]
	case isText(*items) && set(pointer, []string{}):
		return arrayReader(textReader(items, visit), minItems, maxItems).into, setNull[[]string]
	}
	return nil, nil
}

// compileObjects returns the function that sets a field to an array of objects, or nil.
func compileObjects(schema openapi3.Schema, item *decoder) setter {
	if item == nil || schema.MaxItems == nil || schema.Items.Value.Nullable {
		return nil
	}
	minItems, maxItems := schema.MinItems, *schema.MaxItems
	schema.Items, schema.MinItems, schema.MaxItems = nil, 0, nil
	if !hasOnlyType(schema, openapi3.TypeArray) {
		return nil
	}
	return func(s scanner, field any) (rest scanner, ok bool) {
		if !s.token('[') {
			return s, false
		}
		array, n := reflect.ValueOf(field).Elem(), uint64(0)
		array.Set(reflect.MakeSlice(array.Type(), 0, 0)) // an empty array is not nil
		for !s.token(']') {
			if n == maxItems || n > 0 && !s.token(',') {
				return s, false
			}
			n++
			s.nodes++
			array.Set(reflect.Append(array, reflect.Zero(item.target)))
			if s, ok = item.object(s, array.Index(array.Len()-1)); !ok {
				return s, false
			}
		}
		return s, n >= minItems
	}
}

// decode returns a pointer to a new target and the number of values and names. ok is false if it cannot decide.
func (d *decoder) decode(text []byte) (target any, nodes int, ok bool) {
	object := reflect.New(d.target)
	s, ok := d.object(scanner{text: text, nodes: 1}, object.Elem())
	if !ok || !s.end() || d.maxNodes > 0 && s.nodes > d.maxNodes {
		return nil, 0, false
	}
	return object.Interface(), s.nodes, true
}

// object reads an object into a struct.
func (d *decoder) object(s scanner, object reflect.Value) (rest scanner, ok bool) {
	if !s.token('{') {
		return s, false
	}
	seen := uint64(0)
	for !s.token('}') {
		if seen != 0 && !s.token(',') {
			return s, false
		}
		f, bit := d.field(&s)
		if f == nil || seen&bit != 0 || !s.token(':') {
			return s, false
		}
		seen |= bit
		s.skipSpace()
		s.nodes += 2
		pointer := object.Field(f.index).Addr().Interface()
		if f.nullable && s.literal("null") {
			f.null(pointer)
		} else if s, ok = f.set(s, pointer); !ok {
			return s, false
		}
	}
	return s, seen&d.required == d.required
}

// field reads a name. bit identifies the field in a set.
func (d *decoder) field(s *scanner) (f *field, bit uint64) {
	s.skipSpace()
	for i := range d.fields {
		if name := d.fields[i].name; bytes.HasPrefix(s.text[s.pos:], name) {
			s.pos += len(name)
			return &d.fields[i], 1 << i
		}
	}
	return nil, 0
}
