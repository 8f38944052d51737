package server

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
	"github.com/oapi-codegen/runtime"

	"github.com/clientapps/clientapps/server/schemas"
	"github.com/clientapps/clientapps/server/strictjson"
	"github.com/clientapps/clientapps/server/validate"
)

// bodySeeds are bodies near the limits of what a compiled decoder accepts.
var bodySeeds = []string{
	`{}`, ` { } `, `{"is_favorite":true}`, `{"is_favorite":true,"is_approved":false,"license_count":50}`, `{"license_count":null}`,
	`{"license_count":0}`, `{"license_count":00}`, `{"license_count":-0}`, `{"license_count":2147483647}`, `{"license_count":2147483648}`,
	`{"license_count":50.0}`, `{"license_count":5e1}`, `{"license_count":"50"}`, `{"is_favorite":null}`, `{"is_favorite":truex}`,
	`{"is_favorite":true,"is_favorite":true}`, `{"is_favorite":true,}`, `{"is_favorite":true}x`, `{"is_favorite" : true , "license_count" : 1}`,
	`{"IS_FAVORITE":true}`, `{"is\u005ffavorite":true}`, `{"is_favorite":true}{}`, `[]`, `null`, ``, "\xef\xbb\xbf{}", `{"license_count":1 }`,
	`{"license_count":99999999999}`, `{"license_count":1x}`, "{\"is_favorite\":true}\x00", "{\t\"is_approved\"\n:\rtrue}",
	`{"name":"Zoë"}`, "{\"name\":\"\u202e\"}", "{\"name\":\"\ufdd0\"}", "{\"name\":\"\xff\"}", `{"name":" a"}`, `{"name":"a\n"}`, `{"name":""}`,
	`{"canonical_name":"A","logo":"https://a/\"","type":null,"vendor_id":"f6a7b8c9-d0e1-2345-fabc-678901234567","category_ids":[]}`,
	`{"app_ids":["F1A2B3C4-D5E6-7890-ABCD-EF1234567890" , "f1a2b3c4-d5e6-7890-abcd-ef1234567890"]}`, `{"app_ids":[]}`,
	`{"app_ids":["{1a2b3c4-d5e6-7890-abcd-ef123456789}"]}`, `{"app_ids":["{f1a2b3c4-d5e6-7890-abcd-ef1234567890}"]}`, `{"app_ids":["f1a2b3c4-d5e6-7890-abcd-ef1234567890",]}`,
	`{"patterns":["*.example.com",""]}`, `{"aliases":["a","b","A"]}`, `{"catalog_app_id":"f1a2b3c4-d5e6-7890-abcd-ef1234567890"}`,
}

// withBodies returns the operations that have a body, sorted by id.
func withBodies(t testing.TB) []*operation {
	t.Helper()
	operations, err := readOperations()
	if err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(operations, func(_ string, op *operation) bool { return op.body == nil })
	var list []*operation
	for _, id := range slices.Sorted(maps.Keys(operations)) {
		list = append(list, operations[id])
	}
	return list
}

// Every body must have a compiled decoder. A schema without one would be slow, and no other test would fail. The decoder knows neither
// enumerations nor lists of unique items: clients, tokens and webhooks are changed rarely.
func TestEveryBodyIsCompiled(t *testing.T) {
	t.Parallel()
	for _, op := range withBodies(t) {
		rare := slices.Contains([]string{"updateClient", "createToken", "createWebhook", "updateWebhook"}, op.id)
		if op.body.Compiled() == rare {
			t.Errorf("the body of %s has a compiled decoder: %t", op.id, op.body.Compiled())
		}
	}
}

// FuzzBodies compares Decode with the strict parser, the validator and the generated binder, one after the other: they must
// accept the same bodies and decode the same values.
func FuzzBodies(f *testing.F) {
	operations := withBodies(f)
	for _, seed := range bodySeeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, op := range operations {
			target, nodes, err := op.body.Decode(text)
			want, wantNodes, refused := reference(t, op, text)
			if (err == nil) != (refused == nil) {
				t.Fatalf("%s: %q: %v, want %v", op.id, text, err, refused)
			}
			if err == nil && (nodes != wantNodes || !reflect.DeepEqual(target, want)) {
				t.Fatalf("%s: %q: %+v with %d nodes, want %+v with %d", op.id, text, target, nodes, want, wantNodes)
			}
		}
	})
}

// reference decodes a body with these libraries. Its options are those of validate.Body.
func reference(t *testing.T, op *operation, text []byte) (target any, nodes int, err error) {
	t.Helper()
	doc, err := strictjson.Parse(text, strictjson.Options{MaxNodes: schemas.MaxNodes})
	if err != nil {
		return nil, 0, err
	}
	err = op.body.Schema().VisitJSON(doc.Value, openapi3.VisitAsRequest(), openapi3.WithStringFormatValidators(schemas.Formats))
	if err != nil {
		return nil, 0, err
	}
	types, err := bodyType(op.id)
	if err != nil {
		t.Fatal(err)
	}
	target = reflect.New(types).Interface()
	return target, doc.Nodes, runtime.BindJSONValue(doc.Value, target)
}

func BenchmarkDecodeBody(b *testing.B) {
	ids := `{"app_ids":["f1a2b3c4-d5e6-7890-abcd-ef1234567890"`
	for range 99 {
		ids += `,"f1a2b3c4-d5e6-7890-abcd-ef1234567890"`
	}
	bodies := map[string]string{
		"updateApp": `{"is_favorite":true,"is_approved":false,"license_count":50}`, "approveApps": ids + `]}`,
		"createCatalogApp": `{"canonical_name":"Slack","display_colour":"#4A154B","logo":"https://example.com/slack.png","type":"chat",` +
			`"vendor_id":"f6a7b8c9-d0e1-2345-fabc-678901234567","category_ids":["f6a7b8c9-d0e1-2345-fabc-678901234567"]}`,
	}
	for _, op := range withBodies(b) {
		if text := []byte(bodies[op.id]); len(text) > 0 {
			b.Run(op.id, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, _, err := op.body.Decode(text); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// FuzzUUID compares validate.ParseUUID with the contract's pattern, and with uuid.Parse for accepted texts.
func FuzzUUID(f *testing.F) {
	for _, seed := range []string{"f1a2b3c4-d5e6-7890-abcd-ef1234567890", "", "F1A2B3C4-D5E6-7890-ABCD-EF123456789G", strings.Repeat("-", 36)} {
		f.Add(seed)
	}
	doc, err := schemas.Contract()
	if err != nil {
		f.Fatal(err)
	}
	schema := doc.Components.Schemas["UUID"].Value
	f.Fuzz(func(t *testing.T, text string) {
		id, got := validate.ParseUUID(text)
		if want := schema.VisitJSON(text) == nil; got != want {
			t.Fatalf("%q: %v, the contract says %v", text, got, want)
		}
		if want, err := uuid.Parse(text); got && (err != nil || id != want) {
			t.Fatalf("%q: %v, the library says %v, %v", text, id, want, err)
		}
	})
}
