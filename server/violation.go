package server

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server/strictjson"
)

// maxErrors bounds details.errors.
const maxErrors = 100

// violation is one thing wrong with one field of a request body.
type violation struct {
	gen.FieldError

	value  bool    // the field is one that may be written, and its value is wrong
	reason *string // why the field cannot be written
}

// violations says what is wrong with a body that its schema refused, field by field and in document order: the validator's
// own errors come in no order, nest, and speak to Go programmers. Beyond maxErrors it looks no further.
func (op *operation) violations(doc strictjson.Document, refused error) error {
	object, ok := doc.Value.(map[string]any)
	if !ok {
		return invalidRequest("Request body must be a JSON object", nil)
	}
	var found []violation
	for _, name := range doc.Keys {
		if v, bad := op.violation(name, object[name]); bad {
			found = append(found, v)
		}
		if len(found) == maxErrors {
			break
		}
	}
	for _, name := range op.body.Required {
		if _, ok := object[name]; !ok {
			found = append(found, violation{FieldError: fieldError(name, name+" is required")})
		}
	}
	if len(found) == 0 {
		e := invalidRequest("Request body does not match the contract", nil)
		e.cause = refused
		return e
	}
	first := found[0]
	message := first.Message
	if len(found) == 1 {
		if first.value && op.bareValues {
			return invalidRequest(message, nil)
		}
		return invalidRequest(message, &gen.ErrorDetails{Field: &first.Field, Reason: first.reason})
	}
	all := make([]gen.FieldError, 0, min(len(found), maxErrors))
	for _, v := range found[:min(len(found), maxErrors)] {
		all = append(all, v.FieldError)
	}
	return invalidRequest(message, &gen.ErrorDetails{Field: &first.Field, Reason: first.reason, Errors: &all})
}

func (op *operation) violation(name string, value any) (violation, bool) {
	if reason, ok := op.readOnly[name]; ok {
		message := fmt.Sprintf("Field '%s' cannot be updated via this endpoint", name)
		return violation{FieldError: fieldError(name, message), reason: &reason}, true
	}
	property, ok := op.body.Properties[name]
	if !ok {
		message := fmt.Sprintf("Unknown field '%s'", strictjson.ShortName(name))
		return violation{FieldError: fieldError(name, message)}, true
	}
	schema := property.Value
	err := visit(schema, value)
	if err == nil {
		return violation{}, false
	}
	if items, ok := value.([]any); ok && schema.Items != nil {
		for i, item := range items {
			if err := visit(schema.Items.Value, item); err != nil {
				found := fieldError(name, sentence(fmt.Sprintf("%s[%d]", name, i), schema.Items.Value, err))
				found.Pointer += "/" + strconv.Itoa(i)
				return violation{FieldError: found, value: true}, true
			}
		}
	}
	return violation{FieldError: fieldError(name, sentence(name, schema, err)), value: true}, true
}

func fieldError(name, message string) gen.FieldError {
	name = strictjson.ShortName(name)
	return gen.FieldError{Field: name, Pointer: "/" + escapePointer.Replace(name), Message: message}
}

// escapePointer escapes a name for a JSON pointer (RFC 6901, 3).
var escapePointer = strings.NewReplacer("~", "~0", "/", "~1")

// sentence says what a value must be, from the schema that refused it: "license_count must be an integer or null".
func sentence(name string, schema *openapi3.Schema, refused error) string {
	return name + " must be " + expectation(schema, refused)
}

func expectation(schema *openapi3.Schema, refused error) string {
	kind := violatedKeyword(refused)
	if kind == "format" && schema.Type.Is("integer") {
		kind = "maximum" // int32 and int64 are ranges
	}
	switch kind {
	case "enum":
		words := make([]string, len(schema.Enum))
		for i, word := range schema.Enum {
			words[i] = fmt.Sprint(word)
		}
		return "one of " + strings.Join(words, ", ")
	case "minItems", "maxItems":
		return fmt.Sprintf("an array of %d to %d items", schema.MinItems, *schema.MaxItems)
	case "minimum", "maximum":
		if schema.Min != nil && schema.Max != nil {
			return fmt.Sprintf("between %s and %s", number(*schema.Min), number(*schema.Max))
		}
	case "minLength", "maxLength", "pattern", "format":
		if text, ok := schema.Extensions["x-must-be"].(string); ok {
			return text
		}
		if kind == "maxLength" {
			return fmt.Sprintf("at most %d characters long", *schema.MaxLength)
		}
		return "well-formed"
	}
	text := typeName(schema)
	if schema.Nullable {
		text += " or null"
	}
	return text
}

func typeName(schema *openapi3.Schema) string {
	switch {
	case schema.Type.Is("boolean"):
		return "a boolean value"
	case schema.Type.Is("integer"):
		return "an integer"
	case schema.Type.Is("array"):
		return "an array"
	case schema.Type.Is("object"):
		return "an object"
	}
	return "a string"
}

// violatedKeyword is the schema keyword that the validator stopped at. A parameter that could not be read has the wrong type.
func violatedKeyword(err error) string {
	if schemaErr := (*openapi3.SchemaError)(nil); errors.As(err, &schemaErr) {
		return schemaErr.SchemaField
	}
	return "type"
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
