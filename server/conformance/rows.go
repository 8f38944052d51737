package conformance

import (
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/clientapps/clientapps/server/servertest"
)

const ndjson = "application/x-ndjson"

// rowSchema returns the schema of a row of an import. Its columns are properties of the objects that the rows make.
func rowSchema(doc *openapi3.T, operationID string) *openapi3.Schema {
	columns := map[string][2]string{
		"canonical_name": {"CatalogAppCreate", "canonical_name"},
		"is_favorite":    {"AppCreate", "is_favorite"}, "is_approved": {"AppCreate", "is_approved"}, "license_count": {"AppCreate", "license_count"},
	}
	if operationID == "importCatalog" {
		columns = map[string][2]string{
			"vendor_url":   {"CatalogVendorCreate", "url"},
			"url_patterns": {"UrlPatternsReplace", "patterns"}, "desktop_aliases": {"DesktopAliasesReplace", "aliases"},
		}
		for _, name := range []string{"canonical_name", "description", "display_colour", "logo", "type"} {
			columns[name] = [2]string{"CatalogAppCreate", name}
		}
	}
	object := &openapi3.Schema{Type: &openapi3.Types{openapi3.TypeObject}, Properties: openapi3.Schemas{}, Required: []string{"canonical_name"}}
	for name, source := range columns {
		object.Properties[name] = doc.Components.Schemas[source[0]].Value.Properties[source[1]]
	}
	no := false
	object.AdditionalProperties.Has = &no
	return object
}

// refusedRow is the refusal of an import for its first row.
func refusedRow(field, message string) Want {
	want := refused(field, message)
	if want.Line = 1; message != "" {
		want.Message = "line 1: " + message
	}
	return want
}

// rowSyntaxCases returns files with rows that are not strict JSON objects, or that exceed the bounds of a row, and broken CSV.
func rowSyntaxCases(b Base) []Case {
	good := b.Body.String()
	var cases []Case
	add := func(name, media, file string, want Want) {
		r := servertest.Request{Method: b.Op.Method, Target: b.Op.Target(b.Values), Header: []string{"Content-Type: " + media}, Body: file}
		cases = append(cases, Case{name, "", r, want})
	}
	for name, line := range map[string]string{
		"null": "null", "an array": "[]", "a string": `"x"`, "a number": "1", "cut off": good[:len(good)-1], "data behind": good + "x",
		"a second object": good + good, "a comma too many": strings.Replace(good, "}", ",}", 1), "a comment": "/**/" + good,
		"bytes that are no UTF-8": b.Body.With("x", "\"\xff\"").String(), "half a surrogate pair": b.Body.With("x", `"\ud800"`).String(),
		"deep":                               b.Body.With("x", strings.Repeat("[", 65)+strings.Repeat("]", 65)).String(),
		"more values and names than may be":  b.Body.With("x", "["+strings.Repeat("0,", 20_000)+"0]").String(),
		"longer than a row may be":           strings.Repeat(" ", 1<<20) + good,
		"a byte order mark not at the start": "\ufeff" + good,
	} {
		add(name, ndjson, "\n"+line+"\n", Want{Status: []int{400}, Line: 2})
		add(name+" in the last row", ndjson, good+"\n"+line, Want{Status: []int{400}, Line: 2})
	}
	add("the same name twice", ndjson, good+"\n"+good+"\n", Want{Status: []int{400}, Field: "canonical_name", Line: 2})
	names := "canonical_name\n"
	for name, file := range map[string]string{
		"no columns": " ", "an unknown column": "canonical_name,no_such\n", "a column twice": "canonical_name,canonical_name\n",
		"no name": "license_count\n", "a misplaced quote": "canonical_name,\"x\"y\n",
	} {
		add("CSV: "+name, "text/csv", file, Want{Status: []int{400}, Line: 1})
	}
	for name, line := range map[string]string{
		"too many cells": "a,b", "a misplaced quote": `"a"b`, "bytes that are no UTF-8": "\xff", "an endless quote": `"`,
		"longer than a row may be": `"` + strings.Repeat("x\n", 1<<20),
	} {
		add("CSV: "+name, "text/csv", names+line+"\n", Want{Status: []int{400}, Line: 2})
	}
	add("no rows", ndjson, " \r\n\n", accepted(b.Op))
	add("CSV: no rows", "text/csv", "\ufeff"+names, accepted(b.Op))
	add("white space", ndjson, "\ufeff\n \t"+good+" \r\n\n", accepted(b.Op))
	return cases
}
