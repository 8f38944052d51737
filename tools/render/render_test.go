package main

import (
	"bytes"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// An upgraded schema means the same, or the upgrade fails.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, schema, want, refused string }{
		{name: "same", schema: `{type: string, maxLength: 5}`, want: `{"type":"string","maxLength":5}`},
		{name: "null", schema: `{type: string, nullable: true, maxLength: 5}`, want: `{"type":["string","null"],"maxLength":5}`},
		{name: "no null", schema: `{type: string, nullable: false}`, want: `{"type":"string"}`},
		{name: "null of no type", schema: `{nullable: true, allOf: [{type: object}]}`, refused: "no effect without a type"},
		{name: "null and enum", schema: `{type: string, nullable: true, enum: [a]}`, refused: "one of the values"},
		{name: "exclusive", schema: `{minimum: 1, exclusiveMinimum: true, maximum: 2}`, want: `{"maximum":2,"exclusiveMinimum":1}`},
		{name: "inclusive", schema: `{maximum: 1, exclusiveMaximum: false}`, want: `{"maximum":1}`},
		{name: "exclusive of nothing", schema: `{exclusiveMaximum: true}`, refused: "no effect without a maximum"},
		{name: "example", schema: `{example: {nullable: true}}`, want: `{"examples":[{"nullable":true}]}`},
		{name: "property names", schema: `{properties: {nullable: {type: string, nullable: true}, example: {type: integer}}}`, want: `{"properties":{"nullable":{"type":["string","null"]},"example":{"type":"integer"}}}`},
		{name: "nested", schema: `{type: array, items: {anyOf: [{type: integer, nullable: true}]}}`, want: `{"type":"array","items":{"anyOf":[{"type":["integer","null"]}]}}`},
		{name: "additional", schema: `{additionalProperties: {type: string, nullable: true}}`, want: `{"additionalProperties":{"type":["string","null"]}}`},
		{name: "closed", schema: `{additionalProperties: false}`, want: `{"additionalProperties":false}`},
		{name: "extension", schema: `{x-a: {nullable: true}}`, want: `{"x-a":{"nullable":true}}`},
		{name: "bytes", schema: `{type: string, format: byte}`, refused: "contentEncoding"},
		{name: "discriminator", schema: `{discriminator: {propertyName: a}}`, want: `{"discriminator":{"propertyName":"a"}}`},
		{name: "unknown", schema: `{xml: {name: a}}`, refused: "unknown keyword xml"},
	} {
		document := `{openapi: 3.0.3, paths: {/a: {parameters: [{schema: ` + tt.schema + `, example: {schema: {nullable: true}}}]}},
			components: {schemas: {schema: ` + tt.schema + `}, examples: {a: {value: {schema: {nullable: true}}}}}}`
		got, err := upgraded(t, document)
		if tt.refused != "" {
			if err == nil || !strings.Contains(err.Error(), tt.refused) {
				t.Errorf("%s: error %v, want %s", tt.name, err, tt.refused)
			}
			continue
		}
		want := `{"openapi":"3.1.0","paths":{"/a":{"parameters":[{"schema":` + tt.want + `,"example":{"schema":{"nullable":true}}}]}},` +
			`"components":{"schemas":{"schema":` + tt.want + `},"examples":{"a":{"value":{"schema":{"nullable":true}}}}}}`
		if err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", tt.name, got, err, want)
		}
	}
}

func TestUpgradeWebhooks(t *testing.T) {
	t.Parallel()
	got, err := upgraded(t, `{openapi: 3.0.3, x-webhooks: {ping: {post: {requestBody: {content: {a: {schema: {type: string, nullable: true}}}}}}}}`)
	want := `{"openapi":"3.1.0","webhooks":{"ping":{"post":{"requestBody":{"content":{"a":{"schema":{"type":["string","null"]}}}}}}}}`
	if err != nil || got != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
}

func TestUpgradeTakesOnlyItsVersion(t *testing.T) {
	t.Parallel()
	for _, document := range []string{`{openapi: 3.1.0}`, `{swagger: '2.0'}`} {
		if got, err := upgraded(t, document); err == nil {
			t.Errorf("%s: %s", document, got)
		}
	}
}

func upgraded(t *testing.T, document string) (string, error) {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(document), &doc); err != nil {
		t.Fatal(err)
	}
	if err := upgrade(&doc); err != nil {
		return "", err
	}
	var out bytes.Buffer
	err := appendJSON(&out, &doc)
	return out.String(), err
}

// JSON keeps the order, the types and the texts of YAML. A value without a JSON form is an error.
func TestJSON(t *testing.T) {
	t.Parallel()
	for document, want := range map[string]string{
		`{z: 1, a: -1.5e3, "1": 'x', y: "<&>\n\"é", n: null, b: true, l: [], m: {}}`: `{"z":1,"a":-1.5e3,"1":"x","y":"<&>\n\"é","n":null,"b":true,"l":[],"m":{}}`,
		"a: |\n  two\n  lines\n": `{"a":"two\nlines\n"}`,
		`[2026-11-23]`:           "",
		`[0x10]`:                 "",
		`[.inf]`:                 "",
		`[yes]`:                  `["yes"]`,
		`[TRUE]`:                 "",
		`[&a x, *a]`:             "",
	} {
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(document), &doc); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := appendJSON(&out, &doc); (err == nil) != (want != "") || err == nil && out.String() != want {
			t.Errorf("%s: %s, %v, want %q", document, out.String(), err, want)
		}
	}
}

// Properties are numbered in the order of the document, including references and nested objects.
func TestOrder(t *testing.T) {
	t.Parallel()
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(`{components: {schemas: {a: {properties: {z: {type: string}, y: {$ref: b}, x: {type: array, items: {properties: {k: {type: string}}}}}}}}}`), &doc); err != nil {
		t.Fatal(err)
	}
	order(&doc)
	var out bytes.Buffer
	if err := appendJSON(&out, &doc); err != nil {
		t.Fatal(err)
	}
	const want = `{"components":{"schemas":{"a":{"properties":{"z":{"type":"string","x-order":1},"y":{"$ref":"b","x-order":2},` +
		`"x":{"type":"array","items":{"properties":{"k":{"type":"string","x-order":1}}},"x-order":3}}}}}}`
	if out.String() != want {
		t.Errorf("%s, want %s", out.String(), want)
	}
}
