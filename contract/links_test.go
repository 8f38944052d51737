package contract

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// Every link names an operation, sets all its required parameters, and takes their values from existing places.
func TestLinks(t *testing.T) {
	t.Parallel()
	doc := load(t, "openapi.yaml")
	targets := map[string]*openapi3.Operation{}
	for id, op := range operations(doc) {
		targets[id] = op
	}
	links := 0
	for id, op := range operations(doc) {
		for status, response := range op.Responses.Map() {
			for name, link := range response.Value.Links {
				links++
				if err := checkLink(op, response.Value, link.Value, targets[link.Value.OperationID]); err != nil {
					t.Errorf("%s answers %s, link %s: %v", id, status, name, err)
				}
			}
		}
	}
	if links == 0 {
		t.Error("the contract has no links")
	}
}

func checkLink(from *openapi3.Operation, response *openapi3.Response, link *openapi3.Link, to *openapi3.Operation) error {
	if to == nil {
		return fmt.Errorf("there is no operation %s", link.OperationID)
	}
	for _, p := range to.Parameters {
		if _, ok := link.Parameters[p.Value.Name]; p.Value.Required && !ok {
			return fmt.Errorf("%s is missing", p.Value.Name)
		}
	}
	for name, expression := range link.Parameters {
		parameter := parameterOf(to, name)
		if parameter == nil {
			return fmt.Errorf("%s has no parameter %s", link.OperationID, name)
		}
		for example, value := range values(from, response, fmt.Sprint(expression)) {
			if err := parameter.Schema.Value.VisitJSON(value); value != nil && err != nil {
				return fmt.Errorf("%s is not %s in example %s: %w", expression, name, example, err)
			}
		}
		if len(values(from, response, fmt.Sprint(expression))) == 0 {
			return fmt.Errorf("%s has no value", expression)
		}
	}
	return nil
}

func parameterOf(op *openapi3.Operation, name string) *openapi3.Parameter {
	for _, p := range op.Parameters {
		if p.Value.Name == name {
			return p.Value
		}
	}
	return nil
}

// values evaluates an expression on each example. A value is nil when the example has none.
func values(from *openapi3.Operation, response *openapi3.Response, expression string) map[string]any {
	found := map[string]any{}
	if name, ok := strings.CutPrefix(expression, "$request.path."); ok {
		if p := parameterOf(from, name); p != nil && p.In == openapi3.ParameterInPath {
			found["of the path"] = p.Examples["demo"].Value.Value
		}
	}
	if name, ok := strings.CutPrefix(expression, "$response.header."); ok {
		if h := response.Headers[name]; h != nil {
			found["of the header"] = h.Value.Example
		}
	}
	if pointer, ok := strings.CutPrefix(expression, "$response.body#/"); ok {
		reached := false
		for name, example := range response.Content["application/json"].Examples {
			found[name] = at(example.Value.Value, strings.Split(pointer, "/"))
			reached = reached || found[name] != nil
		}
		if !reached {
			return nil
		}
	}
	return found
}

func at(value any, path []string) any {
	for _, step := range path {
		switch v := value.(type) {
		case map[string]any:
			value = v[step]
		case []any:
			var index int
			if json.Unmarshal([]byte(step), &index) != nil || index >= len(v) {
				return nil
			}
			value = v[index]
		default:
			return nil
		}
	}
	return value
}
