package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/clientapps/clientapps/server/schemas"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

// exchange is a request and its answer, from the examples of an operation that are named demo. Tools that are driven by examples use
// them.
type exchange struct {
	operation string
	request   servertest.Request
	status    int
	answer    any // nil: no body
}

// exchanges returns one exchange for each operation. It is an error when the examples of an operation are incomplete.
func exchanges(t *testing.T) []exchange {
	t.Helper()
	doc, err := schemas.Contract()
	if err != nil {
		t.Fatal(err)
	}
	var all []exchange
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.Responses.Value("200") != nil && op.Responses.Value("200").Value.Content["application/json"] == nil {
				continue // a stream or a file: see TestExamplesOfExports
			}
			x, err := exchangeOf(path, method, item, op)
			if err != nil {
				t.Errorf("%s: %v", op.OperationID, err)
				continue
			}
			all = append(all, x)
		}
	}
	slices.SortFunc(all, func(a, b exchange) int { return strings.Compare(a.operation, b.operation) })
	return all
}

func exchangeOf(path, method string, item *openapi3.PathItem, op *openapi3.Operation) (exchange, error) {
	x := exchange{operation: op.OperationID, request: servertest.Request{Method: method, Target: "/v2" + path}}
	query := url.Values{}
	for _, p := range slices.Concat(op.Parameters, item.Parameters) {
		example := p.Value.Examples["demo"]
		switch {
		case example == nil && p.Value.Required:
			return x, fmt.Errorf("no example of %s", p.Value.Name)
		case example == nil:
		case p.Value.In == openapi3.ParameterInPath:
			x.request.Target = strings.Replace(x.request.Target, "{"+p.Value.Name+"}", fmt.Sprint(example.Value.Value), 1)
		case p.Value.In == openapi3.ParameterInQuery:
			query.Set(p.Value.Name, fmt.Sprint(example.Value.Value))
		default:
			return x, fmt.Errorf("an example of the header %s", p.Value.Name)
		}
	}
	if len(query) > 0 {
		x.request.Target += "?" + query.Encode()
	}
	if op.RequestBody != nil {
		for media, content := range op.RequestBody.Value.Content {
			if example := content.Examples["demo"]; example != nil && media != "application/merge-patch+json" {
				x.request.Header = []string{"Content-Type: " + media}
				x.request.Body = bodyOf(example.Value.Value)
			}
		}
		if x.request.Body == "" {
			return x, errors.New("no example of the body")
		}
	}
	for text, response := range op.Responses.Map() {
		content := response.Value.Content["application/json"]
		if content == nil && text != "204" || content != nil && content.Examples["demo"] == nil {
			continue
		}
		if x.status != 0 {
			return x, errors.New("examples of two answers")
		}
		var err error
		if x.status, err = strconv.Atoi(text); err != nil {
			return x, err
		}
		if content != nil {
			x.answer = content.Examples["demo"].Value.Value
		}
	}
	if x.status == 0 {
		return x, errors.New("no example of the answer")
	}
	return x, nil
}

// bodyOf returns an example as a body: a file as it is, all else as JSON.
func bodyOf(example any) string {
	if file, ok := example.(string); ok {
		return file
	}
	text, _ := json.Marshal(example) // which was read from YAML
	return string(text)
}

// TestExamplesOfExports exports from a new demo server, which has the rows of the examples.
func TestExamplesOfExports(t *testing.T) {
	t.Parallel()
	doc, err := schemas.Contract()
	if err != nil {
		t.Fatal(err)
	}
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		t.Parallel()
		demo := startServe(t, databaseURL, "--demo").as(demoToken)
		seen := 0
		for path, item := range doc.Paths.Map() {
			if item.Get == nil || item.Get.Responses.Value("200").Value.Content["text/csv"] == nil {
				continue
			}
			target := "/v2" + strings.Replace(path, "{client_id}", referenceIDs["client/Contoso Ltd."].String(), 1)
			for media, content := range item.Get.Responses.Value("200").Value.Content {
				got := demo.Send(t, servertest.Request{Method: "GET", Target: target, Header: []string{"Accept: " + media}})
				rows := slices.Collect(strings.Lines(got.Body))
				for _, example := range content.Examples {
					for line := range strings.Lines(bodyOf(example.Value.Value)) {
						if seen++; !slices.Contains(rows, line) {
							t.Errorf("%s has no row %s but %s", target, line, got.Body)
						}
					}
				}
			}
		}
		if seen != 6 {
			t.Errorf("%d rows", seen)
		}
	})
}

// TestExchanges sends each request to a new demo server, which gives the answer of the example. Only the id and the times of a created
// object differ.
func TestExchanges(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		t.Parallel()
		all := exchanges(t)
		if len(all) < 31 {
			t.Errorf("%d exchanges", len(all))
		}
		demo := startServe(t, databaseURL, "--demo").as(demoToken)
		for _, x := range all { // requests that can share a demo server
			if x.request.Method == http.MethodGet || x.request.Method == http.MethodPatch {
				x.check(t, demo)
			}
		}
	})
	for _, x := range exchanges(t) {
		if x.request.Method == http.MethodGet || x.request.Method == http.MethodPatch {
			continue
		}
		t.Run(x.operation, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, databaseURL string) {
				t.Parallel()
				x.check(t, startServe(t, databaseURL, "--demo").as(demoToken))
			})
		})
	}
}

func (x exchange) check(t *testing.T, demo *servertest.Client) {
	t.Helper()
	got := demo.Send(t, x.request)
	if got.Status != x.status {
		t.Errorf("%s %s %s: %d %s, want %d", x.operation, x.request.Method, x.request.Target, got.Status, got.Body, x.status)
		return
	}
	if x.answer == nil {
		return
	}
	var answer any
	if err := json.Unmarshal([]byte(got.Body), &answer); err != nil {
		t.Errorf("%s: %v", x.operation, err)
	}
	want := x.answer
	_, isFeed := want.(map[string]any)["has_more"]
	if x.status == http.StatusCreated || slices.Contains([]string{"rotateToken", "rotateWebhookSecret", "replayWebhook", "testWebhook"}, x.operation) || isFeed {
		answer, want = withoutNew(answer), withoutNew(want)
	}
	if !reflect.DeepEqual(answer, want) {
		text, _ := json.Marshal(want)
		t.Errorf("%s %s: %s\nwant %s", x.operation, x.request.Target, got.Body, text)
	}
}

// withoutNew returns an object without the fields that differ each time.
func withoutNew(object any) any {
	rest := maps.Clone(object.(map[string]any))
	maps.DeleteFunc(rest, func(name string, _ any) bool {
		return slices.Contains([]string{"id", "created_at", "updated_at", "secret", "next_cursor", "delivery_id", "duration_ms"}, name)
	})
	if rows, ok := rest["data"].([]any); ok { // of a feed: the catalog of the demo is made when it starts
		rest["data"] = slices.Clone(rows)
		for i, row := range rows {
			changed := maps.Clone(row.(map[string]any))
			delete(changed, "changed_at")
			rest["data"].([]any)[i] = changed
		}
	}
	return rest
}
