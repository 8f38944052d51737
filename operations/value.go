package operations

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/clientapps/clientapps/server/validate"
)

// ParseText returns the JSON value of an argument that is given as text:
//   - null for a nullable argument; the text null itself is written "null", with the quotes
//   - the text as it is for strings, true and false for booleans, digits for numbers
//   - a JSON text for objects and for arrays of objects.
//
// For an array of other values, texts are its items: see ParseList.
func (a *Argument) ParseText(text string) (any, error) {
	if Nullable(a.Schema) && text == "null" {
		return nil, nil
	}
	v, err := parseText(a.Schema, text, Nullable(a.Schema))
	if err != nil {
		return nil, err
	}
	return v, a.Check(v)
}

func parseText(schema *openapi3.Schema, text string, nullable bool) (any, error) {
	switch t := Type(schema); t {
	case openapi3.TypeString:
		if nullable && text == `"null"` {
			return "null", nil
		}
		return text, nil
	case openapi3.TypeBoolean:
		if text != "true" && text != "false" {
			return nil, fmt.Errorf("must be %s", alternatives(nullable, "true", "false"))
		}
		return text == "true", nil
	case openapi3.TypeInteger:
		if _, err := strconv.ParseInt(text, 10, 64); err != nil {
			return nil, fmt.Errorf("must be %s", alternatives(nullable, "an integer"))
		}
		return json.Number(text), nil
	default:
		v, err := decodeJSON(text)
		if err != nil && t == openapi3.TypeNumber {
			return nil, fmt.Errorf("must be %s", alternatives(nullable, "a number"))
		}
		return v, err
	}
}

// alternatives says what a value may be: "an integer or null".
func alternatives(nullable bool, values ...string) string {
	if nullable {
		values = append(values, "null")
	}
	if len(values) == 1 {
		return values[0]
	}
	return strings.Join(values[:len(values)-1], ", ") + " or " + values[len(values)-1]
}

func decodeJSON(text string) (v any, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("must be JSON: %w", err)
	}
	if d.More() {
		return nil, errors.New("must be one JSON value")
	}
	return v, nil
}

// TakesList reports whether the texts of an argument are the items of an array. Items that are objects or arrays come as one JSON text.
func (a *Argument) TakesList() bool {
	if Type(a.Schema) != openapi3.TypeArray {
		return false
	}
	switch Type(Items(a.Schema)) {
	case openapi3.TypeObject, openapi3.TypeArray, "":
		return false
	}
	return true
}

// ParseList returns the array whose items are given as texts. One text that is a JSON array, such as [], is the whole array; one
// that is null is null if the argument may be that.
func (a *Argument) ParseList(texts []string) (any, error) {
	if len(texts) == 1 && (texts[0] == "null" && Nullable(a.Schema) || strings.HasPrefix(texts[0], "[")) {
		v, err := decodeJSON(texts[0])
		if err != nil {
			return nil, err
		}
		return v, a.Check(v)
	}
	list := []any{}
	for _, text := range texts {
		v, err := parseText(Items(a.Schema), text, false)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, a.Check(list)
}

// Check validates the value of an argument against its schema. The error is the end of a sentence: "must be …".
func (a *Argument) Check(v any) error {
	err := a.Schema.VisitJSON(plainNumbers(v), openapi3.EnableFormatValidation())
	if err == nil {
		return nil
	}
	message := validate.Message(a.Name, a.Schema, err)
	return errors.New(strings.TrimPrefix(message, a.Name+" "))
}

// plainNumbers replaces json.Number, which the validator takes for a string, by numbers of Go.
func plainNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return float64(i)
		}
		f, _ := v.Float64()
		return f
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = plainNumbers(item)
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(v))
		for name, item := range v {
			object[name] = plainNumbers(item)
		}
		return object
	}
	return v
}
