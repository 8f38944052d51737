package contract

import (
	"encoding/json"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/clientapps/clientapps"
	"github.com/clientapps/clientapps/gen"
)

// The published document only has the extensions in contract/README.md, and none for a particular generator.
func TestExtensions(t *testing.T) {
	t.Parallel()
	known := []string{
		"x-all-clients", "x-deprecated-on", "x-enumDescriptions", "x-enumStatuses", "x-internal", "x-mcp", "x-must-be", "x-own-tokens",
		"x-read-only-reasons", "x-sunset",
	}
	embedded, err := gen.GetSpec()
	if err != nil {
		t.Fatal(err)
	}
	documents := map[string]any{"gen.GetSpec": embedded}
	for _, file := range []string{"openapi.yaml", "gen/openapi.json"} {
		documents[file] = load(t, file)
	}
	text, err := clientapps.Contract.ReadFile("gen/openapi-3.1.json")
	if err != nil {
		t.Fatal(err)
	}
	documents["gen/openapi-3.1.json"] = json.RawMessage(text)
	for name, document := range documents {
		text, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		var tree any
		if err := json.Unmarshal(text, &tree); err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		eachKey(tree, func(key string, _ any) {
			if strings.HasPrefix(key, "x-") {
				seen[key] = true
			}
		})
		if name != "gen/openapi-3.1.json" { // where it is no extension
			if !seen["x-webhooks"] {
				t.Errorf("%s has no x-webhooks", name)
			}
			delete(seen, "x-webhooks")
		}
		for key := range seen {
			if !slices.Contains(known, key) {
				t.Errorf("%s has %s", name, key)
			}
		}
		if len(seen) != len(known) {
			t.Errorf("%s has the extensions %v, want %v", name, seen, known)
		}
	}
}

func eachKey(tree any, visit func(key string, value any)) {
	switch tree := tree.(type) {
	case map[string]any:
		for key, value := range tree {
			visit(key, value)
			eachKey(value, visit)
		}
	case []any:
		for _, value := range tree {
			eachKey(value, visit)
		}
	}
}

// Patterns must work in ECMA 262, RE2, Python and others. Only some of these support \u and \p, and a tool that cannot compile a pattern
// accepts no request at all.
func TestPatternsAreReadEverywhere(t *testing.T) {
	t.Parallel()
	text, err := clientapps.Contract.ReadFile("gen/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	eachKey(decode(t, text), func(key string, value any) {
		pattern, ok := value.(string)
		if key != "pattern" || !ok {
			return
		}
		seen++
		if _, err := regexp.Compile(pattern); err != nil {
			t.Error(err)
		}
		if beyond := regexp.MustCompile(`\\[^xtsS\\.*]|\(\?|[^\x20-\x7E]`).FindString(pattern); beyond != "" {
			t.Errorf("%s has %s", pattern, beyond)
		}
	})
	if seen < 50 {
		t.Errorf("%d patterns", seen)
	}
}

// Generators look for nullable at the property itself, and in OpenAPI 3.0.3 it has no effect without a type. So every schema that permits
// null has nullable and a type of its own.
func TestNullIsNamedAtTheProperty(t *testing.T) {
	t.Parallel()
	seen := 0
	for name, schema := range load(t, "openapi.yaml").Components.Schemas {
		seen += checkNull(t, name, schema.Value)
	}
	if seen == 0 {
		t.Error("nothing permits null")
	}
}

// checkNull checks a schema and those within it, and returns how many permit null.
func checkNull(t *testing.T, name string, schema *openapi3.Schema) int {
	t.Helper()
	seen := 0
	if schema.VisitJSON(nil) == nil {
		seen++
		if !schema.Nullable || schema.Type == nil {
			t.Errorf("%s permits null without nullable and a type of its own", name)
		}
	} else if schema.Nullable {
		t.Errorf("%s is nullable, without effect", name)
	}
	for property, ref := range schema.Properties {
		seen += checkNull(t, name+"."+property, ref.Value)
	}
	if schema.Items != nil {
		seen += checkNull(t, name+"[]", schema.Items.Value)
	}
	for _, refs := range []openapi3.SchemaRefs{schema.AllOf, schema.AnyOf, schema.OneOf} {
		for _, ref := range refs {
			if ref.Ref == "" && ref.Value.Nullable {
				t.Errorf("%s has a nullable alternative, which generators drop", name)
			}
		}
	}
	return seen
}

// oapi-codegen generates one Go type for all components with the same name, and reserves some names.
func TestNamesOfComponents(t *testing.T) {
	t.Parallel()
	doc := load(t, "openapi.yaml")
	own := []string{
		"Client", "ClientInterface", "ClientOption", "ClientWithResponses", "ClientWithResponsesInterface", "HttpRequestDoer",
		"RequestEditorFn", "ServerInterface", "ServerInterfaceWrapper", "StrictServerInterface", "Response", "Request",
	}
	for name, response := range doc.Components.Responses {
		schema := doc.Components.Schemas[name]
		for _, media := range response.Value.Content {
			if schema != nil && media.Schema.Ref != "#/components/schemas/"+name {
				t.Errorf("response %s has the name of another schema", name)
			}
		}
	}
	for name := range doc.Components.Parameters {
		if doc.Components.Schemas[name] != nil || doc.Components.Responses[name] != nil {
			t.Errorf("parameter %s has the name of another component", name)
		}
	}
	for _, names := range []iter.Seq[string]{
		maps.Keys(doc.Components.Schemas), maps.Keys(doc.Components.Responses),
		maps.Keys(doc.Components.Parameters), maps.Keys(doc.Components.RequestBodies),
	} {
		for name := range names {
			if slices.Contains(own, name) {
				t.Errorf("component %s has a name that generated code reserves", name)
			}
		}
	}
}
