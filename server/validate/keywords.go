package validate

import (
	"math"
	"reflect"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// hasOnlyType reports whether a schema has this type and no other keyword that could refuse a value. It uses an allow list, so that
// a keyword which is new to kin-openapi is not ignored.
func hasOnlyType(schema openapi3.Schema, name string) bool {
	if !schema.Type.Is(name) || !onlyDocumentation(schema.Extensions) {
		return false
	}
	schema.Type, schema.Extensions, schema.Origin = nil, nil, nil
	schema.Title, schema.Description, schema.Example, schema.ExternalDocs, schema.Deprecated = "", "", nil, nil, false
	return reflect.ValueOf(schema).IsZero()
}

// onlyDocumentation reports whether all extensions start with x-. kin-openapi also stores unknown keywords as extensions.
func onlyDocumentation(extensions map[string]any) bool {
	for name := range extensions {
		if !strings.HasPrefix(name, "x-") {
			return false
		}
	}
	return true
}

// uuidPattern is the pattern that ParseUUID implements.
const uuidPattern = `^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`

// isUUID reports whether a schema accepts exactly what ParseUUID accepts.
func isUUID(schema openapi3.Schema) bool {
	if schema.Format != "uuid" || schema.Pattern != uuidPattern || schema.MinLength > 36 ||
		schema.MaxLength != nil && *schema.MaxLength < 36 {
		return false
	}
	schema.Format, schema.Pattern, schema.MinLength, schema.MaxLength = "", "", 0, nil
	return hasOnlyType(schema, openapi3.TypeString)
}

// isText reports whether a schema has only string keywords: kin-openapi can validate such a string on its own.
func isText(schema openapi3.Schema) bool {
	schema.Format, schema.Pattern, schema.MinLength, schema.MaxLength = "", "", 0, nil
	return hasOnlyType(schema, openapi3.TypeString)
}

// bounds are the bounds of an integer in a schema.
type bounds struct{ least, most float64 }

func boundsOf(schema openapi3.Schema) bounds {
	b := bounds{math.Inf(-1), math.Inf(1)}
	if schema.Format == "int32" {
		b = bounds{math.MinInt32, math.MaxInt32}
	}
	if schema.Min != nil {
		b.least = max(b.least, *schema.Min)
	}
	if schema.Max != nil {
		b.most = min(b.most, *schema.Max)
	}
	return b
}

func (b bounds) contain(n int64) bool { return b.least <= float64(n) && float64(n) <= b.most }
