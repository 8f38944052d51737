package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/clientapps/clientapps/operations"
	"github.com/clientapps/clientapps/server/schemas"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

// demoBearer sends requests with the token of the demo.
type demoBearer struct{}

func (demoBearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+demoToken)
	return http.DefaultTransport.RoundTrip(r)
}

// Every tool answers the example of its operation that is named demo: one that reads as the API does, one that writes when it is
// confirmed.
func TestMCPToolsAnswerTheDemo(t *testing.T) {
	t.Parallel()
	doc, err := schemas.Contract()
	if err != nil {
		t.Fatal(err)
	}
	document, err := operations.New(doc)
	if err != nil {
		t.Fatal(err)
	}
	page := read(t, "docs/mcp.md")
	storetest.EachParallel(t, func(t *testing.T, url string) {
		demo := startServe(t, url, "--demo", "--mcp").as(demoToken)
		session, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), &sdk.StreamableClientTransport{
			Endpoint: demo.URL + "/mcp", HTTPClient: &http.Client{Transport: demoBearer{}}, DisableStandaloneSSE: true,
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = session.Close() }()
		call := func(name string, arguments map[string]any) map[string]any {
			t.Helper()
			result, err := session.CallTool(t.Context(), &sdk.CallToolParams{Name: name, Arguments: arguments})
			if err != nil {
				t.Fatal(err)
			}
			answer, _ := result.StructuredContent.(map[string]any)
			if result.IsError || answer == nil {
				t.Errorf("%s %v: %v", name, arguments, answer)
			}
			return answer
		}
		called := 0
		for _, op := range document.Operations {
			mark, ok := op.Extensions["x-mcp"].(map[string]any)
			if !ok {
				continue
			}
			called++
			name, _ := mark["name"].(string)
			if row := "| `" + name + "` | `" + op.ID + "` |"; !strings.Contains(page, row) {
				t.Errorf("docs/mcp.md has no %s", row)
			}
			arguments, _ := op.Demo()
			got := call(name, arguments)
			if mark["read_only"] == true {
				if want := readDemo(t, demo, op, arguments); !reflect.DeepEqual(got, want) {
					t.Errorf("%s answers %v, the API %v", name, got, want)
				}
				continue
			}
			if got["written"] != false {
				t.Errorf("%s: %v", name, got)
			}
			arguments["confirmation"] = got["confirmation"]
			if got := call(name, arguments); got["written"] != nil {
				t.Errorf("%s: %v", name, got)
			}
		}
		if called < 8 {
			t.Errorf("%d tools", called)
		}
	})
}

func readDemo(t *testing.T, demo *servertest.Client, op *operations.Operation, arguments map[string]any) (answer map[string]any) {
	t.Helper()
	r, err := op.Request(t.Context(), &url.URL{Path: "/v2"}, arguments)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(demo.Get(t, r.URL.RequestURI()).Body), &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}
