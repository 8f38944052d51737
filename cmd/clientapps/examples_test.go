package main

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/clientapps/clientapps"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

// Every example request succeeds on the demo, in the order of the contract. An example with the same name as an example of an error
// response gets that status.
func TestExamplesOfRequests(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		demo := startServe(t, url, "--demo").as(demoToken)
		sent, refused := 0, 0
		for _, example := range exampleRequests(t) {
			sent++
			got := demo.Send(t, example.request)
			if example.refusals == nil {
				if got.Status < 200 || got.Status > 299 {
					t.Errorf("%s: %s %s: %d %s", example.of, example.request.Method, example.request.Target, got.Status, got.Body)
				}
				continue
			}
			refused++
			if !slices.Contains(example.refusals, got.Status) {
				t.Errorf("%s: %d %s, want %v", example.of, got.Status, got.Body, example.refusals)
			}
		}
		if sent < 80 || refused < 5 {
			t.Errorf("%d examples, %d of refusals", sent, refused)
		}
	})
}

type exampleRequest struct {
	of       string
	request  servertest.Request
	refusals []int // error statuses that have an example of the same name; nil: the request succeeds
}

// exampleRequests returns, in the order of the contract, a request for each body and each example of an optional parameter.
func exampleRequests(t *testing.T) []exampleRequest {
	t.Helper()
	text, err := clientapps.Contract.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	loader := openapi3.NewLoader()
	loader.IncludeOrigin = true
	doc, err := loader.LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	var all []exampleRequest
	paths := doc.Paths.Map()
	line := func(path string) int { return paths[path].Origin.Key.Line }
	for _, path := range slices.SortedFunc(maps.Keys(paths), func(a, b string) int { return cmp.Compare(line(a), line(b)) }) {
		operations := paths[path].Operations()
		place := func(method string) int { return operations[method].Origin.Key.Line }
		for _, method := range slices.SortedFunc(maps.Keys(operations), func(a, b string) int { return cmp.Compare(place(a), place(b)) }) {
			all = append(all, requestsOf(t, path, method, paths[path], operations[method])...)
		}
	}
	return all
}

func requestsOf(t *testing.T, path, method string, item *openapi3.PathItem, op *openapi3.Operation) []exampleRequest {
	t.Helper()
	target := "/v2" + path
	optional := openapi3.Parameters{}
	for _, p := range slices.Concat(op.Parameters, item.Parameters) { // the operation's own parameters come first
		if p.Value.In == openapi3.ParameterInPath {
			target = strings.ReplaceAll(target, "{"+p.Value.Name+"}", fmt.Sprint(p.Value.Examples["demo"].Value.Value))
		} else {
			optional = append(optional, p)
		}
	}
	bodies := []exampleRequest{{of: op.OperationID, request: servertest.Request{Method: method, Target: target}}}
	if op.RequestBody != nil {
		bodies = nil
		for _, media := range slices.Sorted(maps.Keys(op.RequestBody.Value.Content)) {
			examples := op.RequestBody.Value.Content[media].Examples
			for _, name := range slices.Sorted(maps.Keys(examples)) {
				bodies = append(bodies, exampleRequest{
					of: op.OperationID + " " + name, refusals: refusals(op, name),
					request: servertest.Request{Method: method, Target: target, Header: []string{"Content-Type: " + media}, Body: bodyOf(examples[name].Value.Value)},
				})
			}
		}
	}
	all := slices.Clone(bodies)
	if method == http.MethodDelete {
		all = nil // the object can be deleted only once: with a header, after the refusals
	}
	var first, last []exampleRequest
	for _, p := range optional {
		if p.Value.Name == "dry_run" { // with the default, its example, there would be two writes
			tried := bodies[0]
			tried.of += " with dry_run"
			tried.request.Target += "?dry_run=true"
			first = append(first, tried)
			continue
		}
		examples := map[string]any{"": p.Value.Example}
		if p.Value.Examples != nil {
			examples = map[string]any{}
			for name, example := range p.Value.Examples {
				examples[name] = example.Value.Value
			}
		}
		for _, name := range slices.Sorted(maps.Keys(examples)) {
			one := bodies[0]
			one.of = strings.TrimSpace(op.OperationID + " with " + p.Value.Name + " " + name)
			one.refusals = refusals(op, name)
			if value := fmt.Sprint(examples[name]); p.Value.In == openapi3.ParameterInQuery {
				one.request.Target += "?" + p.Value.Name + "=" + url.QueryEscape(value)
			} else {
				one.request.Header = append(slices.Clone(one.request.Header), p.Value.Name+": "+value)
			}
			if one.refusals == nil {
				last = append(last, one)
			} else {
				all = append(all, one)
			}
		}
	}
	return slices.Concat(first, all, last)
}

// refusals returns the error statuses for which an operation has an example with this name.
func refusals(op *openapi3.Operation, name string) []int {
	var found []int
	for text, response := range op.Responses.Map() {
		status, err := strconv.Atoi(text)
		if err != nil || status < 400 {
			continue
		}
		if content := response.Value.Content["application/json"]; content != nil && content.Examples[name] != nil {
			found = append(found, status)
		}
	}
	return found
}
