package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

const (
	bothTypes = "Accept: application/json, text/event-stream"
	listTools = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
)

// What is no message of the protocol is refused in the form of the API.
func TestMCPOverHTTP(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, storetest.SQLite(t), withMCP, func(c *server.Config) { c.CORSOrigins = []string{"https://app.example.com"} })
	post := func(body string, header ...string) servertest.Request {
		return servertest.Request{Method: http.MethodPost, Target: "/mcp", Body: body, Header: append([]string{bothTypes}, header...)}
	}
	for name, c := range map[string]struct {
		request servertest.Request
		status  int
		message string
	}{
		"a message":                {post(listTools), 200, ""},
		"a message of an origin":   {post(listTools, "Origin: https://app.example.com"), 200, ""},
		"a notification":           {post(`{"jsonrpc":"2.0","method":"notifications/initialized"}`), 202, ""},
		"another origin":           {post(listTools, "Origin: https://evil.example.com"), 403, "Requests of this origin are not allowed"},
		"its own origin":           {post(listTools, "Origin: "+s.URL), 403, "Requests of this origin are not allowed"},
		"no origin":                {post(listTools, "Origin: null"), 403, "Requests of this origin are not allowed"},
		"another origin, no token": {post(listTools, "Origin: null", "Authorization:"), 403, "Requests of this origin are not allowed"},
		"no token":                 {post(listTools, "Authorization:"), 401, "Authentication required"},
		"GET":                      {servertest.Request{Method: http.MethodGet, Target: "/mcp", Header: []string{bothTypes}}, 405, "Method not allowed"},
		"DELETE":                   {servertest.Request{Method: http.MethodDelete, Target: "/mcp"}, 405, "Method not allowed"},
		"OPTIONS":                  {servertest.Request{Method: http.MethodOptions, Target: "/mcp"}, 204, ""},
		"a path below":             {servertest.Request{Method: http.MethodPost, Target: "/mcp/x"}, 404, "No such path"},
		"not JSON":                 {post(`{`), 400, "Request body is not valid JSON at byte 1"},
		"nothing":                  {post(``), 400, "Request body is empty"},
		"a name twice":             {post(`{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}`), 400, `Request body has the key 'method' twice`},
		"no message":               {post(`{}`), 400, "Not a request of MCP: "},
		"a batch":                  {post(`[` + listTools + `]`), 400, "Request body must be one message; batches are not supported"},
		"a form":                   {post(listTools, "Content-Type: text/plain"), 415, "Content-Type must be application/json"},
		"a coding":                 {post(listTools, "Content-Encoding: gzip"), 415, "Content-Encoding must be identity"},
		"another answer":           {servertest.Request{Method: http.MethodPost, Target: "/mcp", Body: listTools, Header: []string{"Accept: text/html"}}, 400, "Not a request of MCP: Accept must contain both"},
		"another version":          {post(listTools, "Mcp-Protocol-Version: 1999-01-01"), 400, "Not a request of MCP: Bad Request: Unsupported protocol version"},
		"too much":                 {post(`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"a":"` + strings.Repeat("x", 1<<20) + `"}}}`), 413, "Request body must not be larger than 1048576 bytes"},
		"too much, in chunks":      {servertest.Request{Method: http.MethodPost, Target: "/mcp", Body: strings.Repeat(" ", 1<<20+1), Chunked: true}, 413, "Request body must not be larger than 1048576 bytes"},
	} {
		got := s.Send(t, c.request)
		if got.Status != c.status || !strings.Contains(got.Body, c.message) {
			t.Errorf("%s: %d %s, want %d %s", name, got.Status, got.Body, c.status, c.message)
		}
		if allow := got.Header.Get("Allow"); (c.status == 405 || c.status == 204) && allow != "OPTIONS, POST" {
			t.Errorf("%s: Allow: %s", name, allow)
		}
		if cached := got.Header.Get("Cache-Control"); cached != "no-store" {
			t.Errorf("%s: Cache-Control: %s", name, cached)
		}
	}
}

// Methods that the server does not offer end at once, those too for which the SDK would keep a stream open.
func TestMCPMethods(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, storetest.SQLite(t), withMCP)
	const params = `"uri":"x","name":"x","level":"info","notifications":{"toolsListChanged":true,"resourceSubscriptions":["clientapps://catalog-apps"]},` +
		`"ref":{"type":"ref/prompt","name":"x"},"argument":{"name":"x","value":""}`
	for _, method := range []string{
		"subscriptions/listen", "resources/subscribe", "resources/unsubscribe", "logging/setLevel", "prompts/list", "prompts/get", "completion/complete",
	} {
		for version, meta := range map[string]string{
			"2025-11-25": "",
			"2026-07-28": `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"x","version":"1"},` +
				`"io.modelcontextprotocol/clientCapabilities":{}},`,
		} {
			header := http.Header{
				"Authorization": {"Bearer " + s.Token}, "Accept": {"*/*"}, "Content-Type": {"application/json"},
				"Mcp-Protocol-Version": {version}, "Mcp-Method": {method}, "Mcp-Name": {"x"},
			}
			got := send(t, http.MethodPost, s.URL+"/mcp", header, `{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":{`+meta+params+`}}`)
			if !strings.Contains(got.body, `"code":-32601`) {
				t.Errorf("%s, %s: %d %s", method, version, got.status, got.body)
			}
		}
	}
}

// A server that has no place for a call says so, and calls have places of their own: one that fills the API's last place does not
// wait for itself.
func TestMCPPlaces(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, storetest.SQLite(t), withMCP, func(c *server.Config) { c.MaxInFlight = 1 })
	a := connect(t, s.Client, "")
	shown := a.want(t, "update_app", updateOne)
	a.want(t, "update_app", with(updateOne, "confirmation", shown["confirmation"]))
}
