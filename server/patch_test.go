package server

import (
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
	"github.com/oapi-codegen/runtime"

	"github.com/clientapps/clientapps/server/schemas"
	"github.com/clientapps/clientapps/store"
)

// patches has the fields function of each patch schema of the contract.
var patches = map[string]func(*testing.T, any) store.Fields{
	"AppPatch":             fieldsOf(appFields),
	"CatalogAppPatch":      fieldsOf(catalogAppFields),
	"CatalogCategoryPatch": fieldsOf(categoryFields),
	"CatalogVendorPatch":   fieldsOf(vendorFields),
	"ClientPatch":          fieldsOf(clientFields),
	"WebhookPatch":         fieldsOf(webhookFields),
}

func fieldsOf[T any](fields func(T) store.Fields) func(*testing.T, any) store.Fields {
	return func(t *testing.T, body any) store.Fields {
		t.Helper()
		var p T
		if err := runtime.BindJSONValue(body, &p); err != nil {
			t.Fatalf("%v: %v", body, err)
		}
		return fields(p)
	}
}

// A property that a fields function forgets would be accepted and ignored.
func TestEveryPatchPropertyIsWritten(t *testing.T) {
	t.Parallel()
	doc, err := schemas.Contract()
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for name, schema := range doc.Components.Schemas {
		if !strings.HasSuffix(name, "Patch") {
			continue
		}
		found++
		fields, ok := patches[name]
		if !ok {
			t.Errorf("no fields function for %s", name)
			continue
		}
		if got := fields(t, map[string]any{}); len(got) != 0 {
			t.Errorf("%s: an empty patch sets %v", name, got)
		}
		for property, ref := range schema.Value.Properties {
			if ref.Value.Type.Is("array") {
				continue // a set of links is not a column: the handler passes it separately
			}
			values := samples(t, ref.Value)
			if ref.Value.Nullable {
				values = append(values, nil)
			}
			for _, value := range values {
				got := fields(t, map[string]any{property: value})
				if set, ok := got[store.Column(property)]; len(got) != 1 || !ok || !same(set, value) {
					t.Errorf("%s: %s alone as %v sets %v", name, property, value, got)
				}
			}
		}
	}
	if found != len(patches) {
		t.Errorf("the contract has %d patch schemas, the table has %d functions", found, len(patches))
	}
}

// samples returns values of a property, including the zero value, which is not the same as absent.
func samples(t *testing.T, schema *openapi3.Schema) []any {
	t.Helper()
	switch {
	case schema.Type.Is("boolean"):
		return []any{false, true}
	case schema.Type.Is("integer"):
		return []any{int64(*schema.Min), int64(*schema.Max)}
	case schema.Format == "uuid":
		return []any{"00000000-0000-0000-0000-000000000000", "f1a2b3c4-d5e6-7890-abcd-ef1234567890"}
	case schema.Type.Is("string"):
		return []any{"", "x"}
	}
	t.Fatalf("no sample values for the type %v", schema.Type)
	return nil
}

func same(set, value any) bool {
	switch v := set.(type) {
	case int32:
		set = int64(v)
	case uuid.UUID:
		set = v.String()
	}
	return set == value
}
