package validate

import (
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"
)

// reader reads a value and returns the scanner after it. The scanner is passed by value: a pointer would make each body allocate
// one.
type reader[T any] func(s scanner) (rest scanner, value T, ok bool)

// setter reads a value into the struct field that the pointer field points to.
type setter func(s scanner, field any) (rest scanner, ok bool)

func (read reader[T]) into(s scanner, field any) (rest scanner, ok bool) {
	rest, value, ok := read(s)
	return rest, ok && set(field, value)
}

// set sets a field to a value. It reports false if the field has none of the types that generated code uses.
func set[T any](field any, value T) bool {
	switch p := field.(type) {
	case *T:
		*p = value
	case **T:
		own := value
		*p = &own
	case *nullable.Nullable[T]:
		p.Set(value)
	default:
		return false
	}
	return true
}

// setNull sets a field to null. It reports whether the type of the field distinguishes null from absent.
func setNull[T any](field any) bool {
	p, ok := field.(*nullable.Nullable[T])
	if ok {
		p.SetNull()
	}
	return ok
}

func readBoolean(s scanner) (rest scanner, value, ok bool) {
	if s.literal("true") {
		return s, true, true
	}
	return s, false, s.literal("false")
}

func integerReader[T int | int32 | int64](b bounds) reader[T] {
	return func(s scanner) (rest scanner, value T, ok bool) {
		n, ok := s.integer()
		return s, T(n), ok && int64(T(n)) == n && b.contain(n)
	}
}

func readUUID(s scanner) (rest scanner, id uuid.UUID, ok bool) {
	text, ok := s.string()
	if !ok {
		return s, uuid.Nil, false
	}
	id, ok = ParseUUID(text)
	return s, id, ok
}

func textReader(schema *openapi3.Schema, visit visitor) reader[string] {
	return func(s scanner) (rest scanner, text string, ok bool) {
		raw, ok := s.string()
		if !ok {
			return s, "", false
		}
		text = string(raw)
		return s, text, visit(schema, text) == nil
	}
}

// arrayReader reads minItems to maxItems items. It preallocates nothing, since a client chooses the number of items.
func arrayReader[T any](read reader[T], minItems, maxItems uint64) reader[[]T] {
	return func(s scanner) (rest scanner, array []T, ok bool) {
		if !s.token('[') {
			return s, nil, false
		}
		array = []T{}
		for !s.token(']') {
			if uint64(len(array)) == maxItems || len(array) > 0 && !s.token(',') {
				return s, nil, false
			}
			s.skipSpace()
			s.nodes++
			var item T
			if s, item, ok = read(s); !ok {
				return s, nil, false
			}
			array = append(array, item)
		}
		return s, array, uint64(len(array)) >= minItems
	}
}
