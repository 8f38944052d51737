package contract

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/clientapps/clientapps"
)

// The contract is valid in all its forms.
func TestFormsAreValid(t *testing.T) {
	t.Parallel()
	for file, version := range map[string]string{
		"openapi.yaml": "3.0.3", "gen/openapi.json": "3.0.3", "gen/openapi-3.1.json": "3.1.0",
	} {
		doc := load(t, file)
		if doc.OpenAPI != version {
			t.Errorf("%s is OpenAPI %s, want %s", file, doc.OpenAPI, version)
		}
		if err := doc.Validate(t.Context(), openapi3.EnableExamplesValidation()); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// The JSON form equals the YAML form.
func TestJSONIsTheYAML(t *testing.T) {
	t.Parallel()
	want, err := load(t, "openapi.yaml").MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	got, err := load(t, "gen/openapi.json").MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(decode(t, got), decode(t, want)) {
		t.Error("gen/openapi.json differs from openapi.yaml")
	}
}

// The contract means the same in OpenAPI 3.1. Everything except the schemas is identical. The schemas accept and refuse the same values:
// every example, and variants of it with one small change.
func TestOpenAPI31MeansTheSame(t *testing.T) {
	t.Parallel()
	old, upgraded := load(t, "gen/openapi.json"), load(t, "gen/openapi-3.1.json")
	if !reflect.DeepEqual(withoutSchemas(t, "gen/openapi-3.1.json"), withoutSchemas(t, "gen/openapi.json")) {
		t.Error("something other than the schemas differs")
	}
	results := map[bool]int{} // by whether the schema accepts the value
	hold := func(name string, value any) {
		accepted := old.Components.Schemas[name].Value.VisitJSON(value) == nil
		if now := upgraded.ValidateSchemaJSON(upgraded.Components.Schemas[name].Value, value) == nil; now != accepted {
			t.Errorf("schema %s: accepts %v in 3.0: %t, in 3.1: %t", name, value, accepted, now)
		}
		results[accepted]++
	}
	for name, schema := range old.Components.Schemas {
		for changed := range variants(schema.Value.Example) {
			hold(name, changed)
		}
	}
	for _, response := range old.Components.Responses {
		for _, media := range response.Value.Content {
			name, ok := strings.CutPrefix(media.Schema.Ref, "#/components/schemas/")
			if !ok { // of a stream
				continue
			}
			for _, example := range media.Examples {
				hold(name, example.Value.Value)
			}
		}
	}
	if results[true] < 100 || results[false] < 100 {
		t.Errorf("too few values were tried: %v", results)
	}
}

// variants yields a value, and the value with one change somewhere in it.
func variants(value any) func(yield func(any) bool) {
	return func(yield func(any) bool) {
		if !yield(value) {
			return
		}
		for _, other := range []any{nil, true, "", "x", "Slack", -1.0, 0.0, 1.5, 2147483648.0, []any{}, map[string]any{}} {
			if !yield(other) {
				return
			}
		}
		switch v := value.(type) {
		case map[string]any:
			for _, key := range append(slices.Collect(maps.Keys(v)), "unknown") {
				without := maps.Clone(v)
				delete(without, key)
				if !yield(without) {
					return
				}
				for changed := range variants(v[key]) {
					with := maps.Clone(v)
					with[key] = changed
					if !yield(with) {
						return
					}
				}
			}
		case []any:
			for i := range v {
				for changed := range variants(v[i]) {
					with := slices.Clone(v)
					with[i] = changed
					if !yield(with) {
						return
					}
				}
			}
		}
	}
}

// withoutSchemas returns a form of the contract without its schemas and its OpenAPI version.
func withoutSchemas(t *testing.T, file string) any {
	t.Helper()
	text, err := clientapps.Contract.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	doc := decode(t, text)
	delete(doc, "openapi")
	if hooks, ok := doc["x-webhooks"]; ok { // which 3.1 calls webhooks
		doc["webhooks"] = hooks
		delete(doc, "x-webhooks")
	}
	var strip func(any)
	strip = func(value any) {
		switch v := value.(type) {
		case map[string]any:
			delete(v, "schema")
			delete(v, "schemas")
			for child := range maps.Values(v) {
				strip(child)
			}
		case []any:
			for _, child := range v {
				strip(child)
			}
		}
	}
	strip(doc)
	return doc
}

func decode(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}
