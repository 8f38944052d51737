package validate

import (
	"reflect"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"
)

// everything is a schema with every keyword and every generated type that a decoder supports.
const everything = `{
	"type": "object", "additionalProperties": false, "required": ["id", "flag"], "description": "d", "x-more": 1,
	"properties": {
		"flag": {"type": "boolean"}, "flags": {"type": "boolean", "nullable": true}, "flag_again": {"type": "boolean"},
		"small": {"type": "integer", "format": "int32"}, "large": {"type": "integer", "format": "int64", "nullable": true},
		"any": {"type": "integer"}, "bounded": {"type": "integer", "minimum": -5, "maximum": 5.5},
		"id": {"type": "string", "format": "uuid", "minLength": 36, "maxLength": 36, "pattern": "PATTERN"},
		"no_id": {"type": "string", "format": "uuid", "nullable": true, "pattern": "PATTERN"},
		"text": {"type": "string", "nullable": true, "minLength": 2, "maxLength": 4},
		"word": {"type": "string", "pattern": "^[a-z]*$"},
		"odd": {"type": "string", "format": "odd"},
		"ids": {"type": "array", "nullable": true, "minItems": 1, "maxItems": 3, "items": {"type": "string", "format": "uuid", "pattern": "PATTERN"}},
		"words": {"type": "array", "maxItems": 3, "items": {"type": "string", "pattern": "^[a-z]*$", "maxLength": 3}}
	}
}`

type everythingBody struct {
	Flag      bool                           `json:"flag"`
	Flags     nullable.Nullable[bool]        `json:"flags,omitempty"`
	FlagAgain *bool                          `json:"flag_again,omitempty"`
	Small     *int32                         `json:"small,omitempty"`
	Large     nullable.Nullable[int64]       `json:"large,omitempty"`
	Any       *int                           `json:"any,omitempty"`
	Bounded   *int                           `json:"bounded,omitempty"`
	ID        uuid.UUID                      `json:"id"`
	NoID      nullable.Nullable[uuid.UUID]   `json:"no_id,omitempty"`
	Text      nullable.Nullable[string]      `json:"text,omitempty"`
	Word      *string                        `json:"word,omitempty"`
	Odd       *string                        `json:"odd,omitempty"`
	IDs       nullable.Nullable[[]uuid.UUID] `json:"ids,omitempty"`
	Words     *[]string                      `json:"words,omitempty"`
}

// oddFormat refuses texts of even length.
var oddFormat = Formats{"odd": openapi3.NewCallbackValidator(func(text string) error {
	if len(text)%2 == 0 {
		return &MismatchError{}
	}
	return nil
})}

func bodyOf(t testing.TB, schema string) *Body {
	t.Helper()
	parsed := new(openapi3.Schema)
	if err := parsed.UnmarshalJSON([]byte(strings.ReplaceAll(schema, "PATTERN", uuidPattern))); err != nil {
		t.Fatal(err)
	}
	b, err := NewBody(parsed, reflect.TypeFor[everythingBody](), 12, oddFormat)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const someID = `"f1a2b3c4-d5e6-7890-abcd-ef1234567890"`

var seeds = []string{
	`"flag":true`, `"flags":null`, `"flags":false`, `"flag_again":null`, `"small":-2147483648`, `"small":-2147483649`, `"small":2147483648`,
	`"large":999999999999999999`, `"large":9223372036854775807`, `"large":-0`, `"large":null`, `"any":-1`, `"any":01`, `"any":-`,
	`"any":1.0`, `"any":1e1`, `"any":9007199254740993`, `"bounded":5`, `"bounded":6`, `"bounded":-5`, `"bounded":-6`,
	`"no_id":null`, `"no_id":` + someID, `"no_id":"f1a2b3c4d5e67890abcdef1234567890"`, `"no_id":"urn:uuid:f1a2b3c4-d5e6-7890-abcd-ef1234567890"`,
	`"text":"ab"`, `"text":"a"`, `"text":"äöüß"`, `"text":"äöüßx"`, `"text":"\u00e4b"`, `"text":null`, `"text":"ab` + "\x7f" + `"`, `"text":"a` + "\n" + `b"`,
	"\"text\":\"ab\ufffe\"", "\"text\":\"ab\xc3\"", `"word":"abc"`, `"word":"ABC"`, `"word":""`, `"word":null`, `"odd":"a"`, `"odd":"ab"`,
	`"ids":[` + someID + `]`, `"ids":[]`, `"ids":null`, `"ids":[` + someID + `,` + someID + `,` + someID + `]`, `"ids":[null]`,
	`"ids":[` + someID + `,` + someID + `,` + someID + `,` + someID + `]`, `"ids":[` + someID + ` ` + someID + `]`, `"ids":[,]`,
	`"words":["a","b"]`, `"words":["a","b",]`, `"words":[ ]`, `"words":["abcd"]`, `"words":["a","b","c","d"]`, `"words":null`, `"unknown":1`,
	`"small":1,"large":1,"any":1,"bounded":1`, `"small":1,"large":1,"any":1,"bounded":1,"flags":true`,
}

// FuzzDecoder compares a compiled decoder with the strict parser, the validator and the generated binder: what the decoder
// accepts they accept too, and decode to the same value.
func FuzzDecoder(f *testing.F) {
	b := bodyOf(f, everything)
	if !b.Compiled() {
		f.Fatal("no decoder was compiled")
	}
	for _, seed := range seeds {
		f.Add([]byte(`{"flag":true,"id":` + someID + `,` + seed + `}`))
		f.Add([]byte(` { "id" : ` + someID + ` , ` + seed + "\t, \"flag\"\r:\nfalse}\n"))
		f.Add([]byte(`{` + seed + `}`))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, nodes, ok := b.compiled.decode(text)
		if !ok {
			return
		}
		want, wantNodes, err := b.decodeStrictly(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if nodes != wantNodes || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: %+v with %d nodes, want %+v with %d", text, got, nodes, want, wantNodes)
		}
	})
}

// A decoder that always gives up would pass FuzzDecoder, so check that these bodies are decoded.
func TestDecoderTakesOrdinaryBodies(t *testing.T) {
	t.Parallel()
	b := bodyOf(t, everything)
	for rest, want := range map[string]bool{
		``: true, `,"flags":null,"text":"äöüß"`: true, `, "large" : -17 , "words" : [ "a", "b" ]`: true, `,"ids":[` + someID + `]`: true,
		`,"any":50.0`: false, `,"text":"\u00e4b"`: false, `,"unknown":1`: false, `,"flag":true`: false,
	} {
		if _, _, ok := b.compiled.decode([]byte(`{"flag":true,"id":` + someID + rest + `}`)); ok != want {
			t.Errorf("%s: %v, want %v", rest, ok, want)
		}
	}
}

// A schema with anything that a decoder does not support is not compiled.
func TestUnknownKeywordsAreNotCompiled(t *testing.T) {
	t.Parallel()
	for _, schema := range []string{
		`{"type": "object", "properties": {}}`,
		`{"type": "object", "additionalProperties": true}`,
		`{"type": "object", "additionalProperties": {"type": "integer"}}`,
		`{"type": "object", "additionalProperties": false, "minProperties": 1}`,
		`{"type": "object", "additionalProperties": false, "nullable": true}`,
		`{"type": "object", "additionalProperties": false, "required": ["flag", "missing"], "properties": {"flag": {"type": "boolean"}}}`,
		`{"type": "object", "additionalProperties": false, "allOf": [{"type": "object"}]}`,
		`{"type": "object", "additionalProperties": false, "x-read-only-reasons": {"flag": "no"}, "properties": {"flag": {"type": "boolean"}}}`,
	} {
		if bodyOf(t, schema).Compiled() {
			t.Errorf("compiled: %s", schema)
		}
	}
	for _, property := range []string{
		`"flag": {"type": "boolean", "nullable": true}`, `"flag": {"type": "boolean", "enum": [true]}`, `"flag": {"type": "boolean", "default": true}`,
		`"flag": {"type": "boolean", "readOnly": true}`, `"flag": {"type": "boolean", "writeOnly": true}`, `"flag": {"type": "boolean", "new": 1}`,
		`"flag": {"type": "integer"}`, `"flag": {}`, `"missing": {"type": "boolean"}`, `"fl\"ag": {"type": "boolean"}`,
		`"any": {"type": "integer", "multipleOf": 2}`, `"any": {"type": "integer", "minimum": 1, "exclusiveMinimum": true}`,
		`"any": {"type": "integer", "format": "even"}`, `"any": {"type": "number"}`, `"any": {"type": "string"}`,
		`"id": {"type": "string", "format": "uuid"}`, `"id": {"type": "string", "format": "uuid", "pattern": "^[0-9a-f-]*$"}`,
		`"id": {"type": "string", "format": "uuid", "pattern": "PATTERN", "minLength": 37}`,
		`"id": {"type": "string", "format": "uuid", "pattern": "PATTERN", "maxLength": 35}`, `"word": {"type": "string", "enum": ["a"]}`,
		`"words": {"type": "array", "items": {"type": "string"}}`, `"words": {"type": "array", "maxItems": 1, "uniqueItems": true, "items": {"type": "string"}}`,
		`"words": {"type": "array", "maxItems": 1, "items": {"type": "string", "nullable": true}}`,
		`"words": {"type": "array", "maxItems": 1, "items": {"type": "integer"}}`,
	} {
		if bodyOf(t, `{"type": "object", "additionalProperties": false, "properties": {`+property+`}}`).Compiled() {
			t.Errorf("compiled: %s", property)
		}
	}
}
