package operations_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/operations"
)

// document has what our contract does not: allOf, a parameter of a path that an operation overrides, and types as lists (3.1).
const document = `
openapi: 3.0.3
info: {title: t, version: '1'}
servers: [{url: 'https://api.example.com/v3'}]
tags: [{name: A, description: first}]
paths:
  /b/{id}:
    parameters:
      - {name: id, in: path, required: true, schema: {type: string}}
      - {name: X-Mode, in: header, schema: {type: string}}
    patch:
      operationId: change
      tags: [A]
      parameters:
        - {name: X-Mode, in: header, description: own, schema: {type: string, enum: [fast]}}
        - {name: pageSize, in: query, schema: {type: integer}}
        - {name: name, in: query, schema: {type: string}}
        - {name: tags, in: query, style: form, explode: false, schema: {type: array, items: {type: string}}}
      requestBody:
        required: true
        content:
          application/merge-patch+json: {schema: {$ref: '#/components/schemas/Patch'}}
          application/json:
            schema: {$ref: '#/components/schemas/Patch'}
            examples: {demo: {value: {name: n, size: null}}, other: {value: {}}}
      responses: {'204': {description: none}}
    get:
      responses: {'200': {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/Either'}}}}}
components:
  schemas:
    Either: {oneOf: [{$ref: '#/components/schemas/Base'}, {type: object, required: [size], properties: {size: {type: number}}}]}
    Base: {type: object, required: [name], properties: {name: {type: string}, made: {type: string, readOnly: true}}}
    Patch:
      allOf:
        - $ref: '#/components/schemas/Base'
        - type: object
          properties: {size: {type: integer, nullable: true, maximum: 9}}
`

func read(t *testing.T) *operations.Document {
	t.Helper()
	doc, err := operations.Read([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestArguments(t *testing.T) {
	t.Parallel()
	doc := read(t)
	if doc.Server != "https://api.example.com/v3" || len(doc.Tags) != 1 || len(doc.Operations) != 2 || doc.Operations[0].ID != "get_b_id" {
		t.Errorf("%+v", doc)
	}
	var either []string
	for _, p := range operations.Properties(doc.Operations[0].Answer) {
		either = append(either, p.Name)
		if p.Required {
			t.Errorf("%s of an alternative is required", p.Name)
		}
	}
	if !slices.Equal(either, []string{"made", "name", "size"}) || operations.Type(doc.Operations[0].Answer) != "object" {
		t.Errorf("%q", either)
	}
	op := doc.Operations[1]
	var got []string
	for _, a := range op.Arguments {
		name := a.In + " " + a.Name
		if a.Required {
			name += " required"
		}
		got = append(got, name)
	}
	want := []string{"path id required", "query page_size", "query name", "query tags", "header x_mode", "body body_name required", "body size"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q", got)
	}
	if a := op.Argument("x_mode"); a.Description != "own" || a.Field != "X-Mode" {
		t.Errorf("%+v", a)
	}
	if op.Body.JSON != "application/json" || len(op.Body.MediaTypes) != 2 || len(op.Body.Examples) != 2 {
		t.Errorf("%+v", op.Body)
	}
	values, body := op.Demo()
	if !reflect.DeepEqual(values, map[string]any{"body_name": "n", "size": nil}) || body != nil {
		t.Errorf("%v %v", values, body)
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	op := read(t).Operations[1]
	base, err := url.Parse("http://127.0.0.1:1/x%2Fy/")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		values     string
		target     string
		body, fail string
	}{
		{`{"id": "7", "body_name": "n"}`, "/x%2Fy/b/7", `{"name":"n"}`, ""},
		{
			`{"id": "a/b", "body_name": "<", "size": null, "name": "q", "tags": ["a", "b,c"], "page_size": 3, "x_mode": "fast"}`,
			"/x%2Fy/b/a%2Fb?name=q&pageSize=3&tags=a%2Cb%2Cc", `{"name":"<","size":null}`, "",
		},
		{`{"id": "."}`, "", "", "body_name is missing"},
		{`{"body_name": "n"}`, "", "", "id is missing"},
		{`{"id": null, "body_name": "n"}`, "", "", "id is missing"},
		{`{"id": "7", "body_name": "n", "color": 1}`, "", "", "change has no color"},
	} {
		var values map[string]any
		d := json.NewDecoder(strings.NewReader(test.values))
		d.UseNumber()
		if err := d.Decode(&values); err != nil {
			t.Fatal(err)
		}
		r, err := op.Request(t.Context(), base, values)
		if test.fail != "" {
			if err == nil || err.Error() != test.fail {
				t.Errorf("%s: %v", test.values, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.values, err)
			continue
		}
		body := make([]byte, r.ContentLength)
		if _, err := r.Body.Read(body); err != nil {
			t.Error(err)
		}
		if r.URL.RequestURI() != test.target || string(body) != test.body || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %s %s %v", test.values, r.URL.RequestURI(), body, r.Header)
		}
	}
	var missing *operations.MissingError
	if _, err := op.Request(t.Context(), base, nil); !errors.As(err, &missing) {
		t.Errorf("%v", err)
	}
}

// Documents that cannot be used are refused with a reason.
func TestRefusedDocuments(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		``:                                  "no operations",
		`]`:                                 "not an OpenAPI document",
		`{"openapi": "3.0.3", "paths": {}}`: "no operations",
		`{"openapi": "3.0.3", "paths": {"/a": {"$ref": "https://example.com/x.yaml"}}}`:                                                       "not an OpenAPI document",
		`{"openapi": "3.0.3", "paths": {"/a": {"get": {"operationId": "x", "responses": {}}, "put": {"operationId": "x", "responses": {}}}}}`: "two operations are named x",
	} {
		if _, err := operations.Read([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
