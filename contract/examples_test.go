package contract

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// Every body of every operation has named examples, and every example of the contract matches its schema. Problem details have those of
// the errors that they are another form of.
func TestExamples(t *testing.T) {
	t.Parallel()
	doc := load(t, "openapi.yaml")
	for b := range bodies(doc) {
		if len(b.media.Examples) == 0 && !strings.HasSuffix(b.of, " "+problemType) {
			t.Errorf("%s: no named examples", b.of)
		}
		for name, example := range b.media.Examples {
			if example.Value.Summary == "" {
				t.Errorf("%s: example %s has no summary", b.of, name)
			}
			if err := b.media.Schema.Value.VisitJSON(example.Value.Value, b.as); err != nil {
				t.Errorf("%s: example %s: %v", b.of, name, err)
			}
		}
	}
	for id, op := range operations(doc) {
		for status, response := range op.Responses.Map() {
			if len(response.Value.Content) == 0 && !slices.Contains([]string{"202", "204", "304"}, status) {
				t.Errorf("%s answers %s without a body", id, status)
			}
			if n, err := strconv.Atoi(status); err != nil || (n >= 400) != (response.Value.Content[problemType] != nil) {
				t.Errorf("%s answers %s in the forms %v", id, status, slices.Sorted(maps.Keys(response.Value.Content)))
			}
		}
	}
	for name, parameter := range doc.Components.Parameters {
		if len(parameter.Value.Examples) == 0 {
			valid(t, "parameter "+name, parameter.Value.Schema.Value, parameter.Value.Example)
		}
		for key, example := range parameter.Value.Examples {
			valid(t, "parameter "+name+", example "+key, parameter.Value.Schema.Value, example.Value.Value)
		}
	}
	for name, header := range doc.Components.Headers {
		valid(t, "header "+name, header.Value.Schema.Value, header.Value.Example)
	}
	for name, schema := range doc.Components.Schemas {
		// A mock server prefers a schema's example to the named examples of a response, and all errors share this schema.
		if name == "Error" {
			if schema.Value.Example != nil {
				t.Error("schema Error has an example, which mock servers would send with every status")
			}
			continue
		}
		valid(t, "schema "+name, schema.Value, schema.Value.Example)
	}
}

const problemType = "application/problem+json"

func valid(t *testing.T, what string, schema *openapi3.Schema, example any) {
	t.Helper()
	if example == nil {
		t.Errorf("%s has no example", what)
	} else if err := schema.VisitJSON(example); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

// Each error code belongs to one status, x-enumStatuses has it, and every code has an example.
func TestErrorCodes(t *testing.T) {
	t.Parallel()
	doc := load(t, "openapi.yaml")
	statuses := map[any]string{}
	for id, op := range operations(doc) {
		for status, response := range op.Responses.Map() {
			if n, err := strconv.Atoi(status); err != nil || n < 400 {
				continue
			}
			for name, example := range response.Value.Content["application/json"].Examples {
				code := example.Value.Value.(map[string]any)["error"].(map[string]any)["code"]
				if known, ok := statuses[code]; ok && known != status {
					t.Errorf("%s: example %s has code %v with status %s, which belongs to %s", id, name, code, status, known)
				}
				statuses[code] = status
			}
		}
	}
	// Sent for requests that never reach an operation: see TestMalformedRequests.
	statuses["expectation_failed"], statuses["header_fields_too_large"] = "417", "431"
	codes := doc.Components.Schemas["ErrorCode"].Value
	declared, _ := codes.Extensions["x-enumStatuses"].(map[string]any)
	described, _ := codes.Extensions["x-enumDescriptions"].(map[string]any)
	for _, code := range codes.Enum {
		if statuses[code] == "" {
			t.Errorf("no answer has code %v", code)
		}
		if got := fmt.Sprint(declared[code.(string)]); got != statuses[code] {
			t.Errorf("code %v has status %s, x-enumStatuses says %s", code, statuses[code], got)
		}
	}
	if len(declared) != len(codes.Enum) || len(described) != len(codes.Enum) {
		t.Errorf("%d codes, %d statuses, %d descriptions", len(codes.Enum), len(declared), len(described))
	}
}
