package validate

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/clientapps/clientapps/server/strictjson"
)

// MaxFieldErrors bounds the field errors of one body.
const MaxFieldErrors = 100

// FieldError is one error in one field of a body.
type FieldError struct {
	Field    string // the name, at most 64 characters of it
	Pointer  string // a JSON pointer (RFC 6901)
	Message  string // a sentence
	Reason   string // why the field is read-only; "" if it is not
	Writable bool   // the field is not read-only, so its value is wrong
	Missing  bool   // the field is required
}

// FieldErrors are the errors of a body that is a JSON object, in document order, followed by the missing fields. There is at
// least one.
type FieldErrors []FieldError

// Error implements error with the first message.
func (v FieldErrors) Error() string { return v[0].Message }

// MismatchError reports that a body is invalid although no single field is.
type MismatchError struct{ cause error }

// Error implements error, as the end of a sentence whose subject is the body.
func (*MismatchError) Error() string { return "does not match the contract" }

// Unwrap returns the validator's error.
func (e *MismatchError) Unwrap() error { return e.cause }

// fieldErrors lists the errors of an invalid body by field and in document order: the validator's own errors are unordered and
// nested, and their texts are for Go programmers.
func (b *Body) fieldErrors(text []byte, doc strictjson.Document, refused error) error {
	object, ok := doc.Value.(map[string]any)
	if !ok {
		return strictjson.SyntaxError("must be a JSON object")
	}
	var found FieldErrors
	for _, name := range doc.Keys {
		if inItems := b.itemErrors(text, name); inItems != nil {
			found = append(found, inItems...)
		} else if v, bad := b.Check(name, object[name]); bad {
			found = append(found, v)
		}
		if len(found) >= MaxFieldErrors {
			break
		}
	}
	for _, name := range b.schema.Required {
		if _, ok := object[name]; !ok {
			missing := fieldError(name, name+" is required")
			missing.Missing = true
			found = append(found, missing)
		}
	}
	if len(found) == 0 {
		return &MismatchError{cause: refused}
	}
	return found[:min(len(found), MaxFieldErrors)]
}

// itemErrors lists the errors in the objects of a field that is an array of objects, each with the place of the object.
func (b *Body) itemErrors(text []byte, name string) (found FieldErrors) {
	item := b.items[name]
	if item == nil {
		return nil
	}
	var fields map[string]json.RawMessage
	var array []json.RawMessage
	_ = json.Unmarshal(text, &fields)        // cannot fail: text was parsed as an object
	_ = json.Unmarshal(fields[name], &array) // fails if the value is no array, which Check reports
	for i, raw := range array {
		doc, _ := item.Parse(raw) // cannot fail: it is a part of a text that was parsed
		if !doc.Dropped && item.visit(item.schema, doc.Value) == nil {
			continue
		}
		at := fmt.Sprintf("%s[%d]", name, i)
		errs, ok := item.fieldErrors(raw, doc, nil).(FieldErrors) //nolint:errorlint // fieldErrors does not wrap it
		if !ok {
			errs = FieldErrors{fieldError(name, at+" must be "+typeName(item.schema))}
			errs[0].Pointer = ""
		}
		for _, e := range errs {
			if e.Writable || e.Missing {
				e.Message = at + "." + e.Message
			}
			e.Pointer = fmt.Sprintf("/%s/%d%s", name, i, e.Pointer)
			if found = append(found, e); len(found) == MaxFieldErrors {
				return found
			}
		}
	}
	return found
}

// Check validates the value of one field.
func (b *Body) Check(name string, value any) (v FieldError, bad bool) {
	if reason, ok := b.readOnly[name]; ok {
		v = fieldError(name, fmt.Sprintf("Field '%s' cannot be updated via this endpoint", name))
		v.Reason = reason
		return v, true
	}
	property, ok := b.schema.Properties[name]
	if !ok {
		return fieldError(name, fmt.Sprintf("Unknown field '%s'", strictjson.ShortName(name))), true
	}
	schema := property.Value
	err := b.visit(schema, value)
	if err == nil {
		return FieldError{}, false
	}
	if items, ok := value.([]any); ok && schema.Items != nil {
		for i, item := range items {
			if err := b.visit(schema.Items.Value, item); err != nil {
				v = fieldError(name, Message(fmt.Sprintf("%s[%d]", name, i), schema.Items.Value, err))
				v.Pointer += "/" + strconv.Itoa(i)
				v.Writable = true
				return v, true
			}
		}
	}
	v = fieldError(name, Message(name, schema, err))
	v.Writable = true
	return v, true
}

func fieldError(name, message string) FieldError {
	name = strictjson.ShortName(name)
	return FieldError{Field: name, Pointer: Pointer(name), Message: message}
}

// Pointer returns the JSON pointer of a member of an object (RFC 6901).
func Pointer(name string) string { return "/" + escapePointer.Replace(name) }

// escapePointer escapes a name for a JSON pointer (RFC 6901, 3).
var escapePointer = strings.NewReplacer("~", "~0", "/", "~1")

// Message describes the valid values of the schema that refused a value: "license_count must be an integer or null". The schema
// extension x-must-be, a string, describes what a pattern or a format requires.
func Message(name string, schema *openapi3.Schema, refused error) string {
	return name + " must be " + expectation(schema, refused)
}

func expectation(schema *openapi3.Schema, refused error) string {
	keyword := violatedKeyword(refused)
	if keyword == "format" && schema.Type.Is("integer") {
		keyword = "maximum" // int32 and int64 are ranges
	}
	switch keyword {
	case "enum":
		words := make([]string, len(schema.Enum))
		for i, word := range schema.Enum {
			words[i] = fmt.Sprint(word)
		}
		return "one of " + strings.Join(words, ", ")
	case "minItems", "maxItems":
		return fmt.Sprintf("an array of %d to %d items", schema.MinItems, *schema.MaxItems)
	case "uniqueItems":
		return "an array of different items"
	case "minimum", "maximum":
		if schema.Min != nil && schema.Max != nil {
			return fmt.Sprintf("between %s and %s", number(*schema.Min), number(*schema.Max))
		}
	case "minLength", "maxLength", "pattern", "format":
		if text, ok := schema.Extensions["x-must-be"].(string); ok {
			return text
		}
		if keyword == "maxLength" {
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

// violatedKeyword returns the schema keyword that the validator reports. A parameter that cannot be parsed has the wrong type.
func violatedKeyword(err error) string {
	if schemaErr := (*openapi3.SchemaError)(nil); errors.As(err, &schemaErr) {
		return schemaErr.SchemaField
	}
	return "type"
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
