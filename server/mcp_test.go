package server_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

func withMCP(c *server.Config) { c.MCP = true }

// bearer sends requests with a token.
type bearer string

func (token bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(token))
	return http.DefaultTransport.RoundTrip(r)
}

// assistant is a client of MCP.
type assistant struct{ *sdk.ClientSession }

// connect connects an assistant that has the token of a client. version is that of the protocol, or "" for the newest.
func connect(t *testing.T, c *servertest.Client, version string) assistant {
	t.Helper()
	session, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), &sdk.StreamableClientTransport{
		Endpoint: c.URL + "/mcp", HTTPClient: &http.Client{Transport: bearer(c.Token)}, DisableStandaloneSSE: true, MaxRetries: -1,
	}, &sdk.ClientSessionOptions{ProtocolVersion: version})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	return assistant{session}
}

type object = map[string]any

// call calls a tool and returns its structured answer, and whether it is an error.
func (a assistant) call(t *testing.T, tool string, arguments object) (answer object, failed bool) {
	t.Helper()
	result, err := a.CallTool(t.Context(), &sdk.CallToolParams{Name: tool, Arguments: arguments})
	if err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	answer, _ = result.StructuredContent.(object)
	last, _ := result.Content[len(result.Content)-1].(*sdk.TextContent)
	if want, _ := json.Marshal(answer); answer == nil || last == nil || !sameJSON(t, last.Text, string(want)) {
		t.Fatalf("%s: the text is %+v, the structured content %v", tool, last, answer)
	}
	return answer, result.IsError
}

// want calls a tool that succeeds.
func (a assistant) want(t *testing.T, tool string, arguments object) object {
	t.Helper()
	answer, failed := a.call(t, tool, arguments)
	if failed {
		t.Fatalf("%s %v: %v", tool, arguments, answer)
	}
	return answer
}

// wantError calls a tool that fails.
func (a assistant) wantError(t *testing.T, tool string, arguments object, status float64, code string) object {
	t.Helper()
	answer, failed := a.call(t, tool, arguments)
	body, _ := answer["error"].(object)
	if !failed || answer["status"] != status || body["code"] != code || answer["request_id"] == "" {
		t.Errorf("%s %v: %v, want %v %s", tool, arguments, answer, status, code)
	}
	return body
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	return reflect.DeepEqual(x, y)
}

// with returns the arguments with another value of one.
func with(arguments object, name string, value any) object {
	more := maps.Clone(arguments)
	more[name] = value
	return more
}

var updateOne = object{"client_id": clientID, "app_id": appID, "license_count": 50, "is_favorite": true}

// A tool that writes shows first what it would do, and writes nothing. With the confirmation it writes, in the name of the token.
func TestMCPUpdate(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		f := newFixture(t, s)
		for _, version := range []string{"", "2025-06-18"} {
			f.reset(t)
			a := connect(t, s.Client, version)
			before := f.allTables(t)
			shown := a.want(t, "update_app", updateOne)
			if after := f.allTables(t); after != before {
				t.Fatalf("the preview wrote\n%s\nbefore\n%s", after, before)
			}
			changes := []any{
				object{"field": "is_favorite", "before": false, "after": true},
				object{"field": "license_count", "before": nil, "after": 50.0},
			}
			if shown["written"] != false || !reflect.DeepEqual(shown["changes"], changes) {
				t.Errorf("%v", shown)
			}
			done := a.want(t, "update_app", with(updateOne, "confirmation", shown["confirmation"]))
			if got := decodeObject(t, f.Get(t, appPath)); !reflect.DeepEqual(done, got) || done["license_count"] != 50.0 {
				t.Errorf("the tool answers %v, the API %v", done, got)
			}
			// A call that changes nothing says so.
			if again := a.want(t, "update_app", updateOne); !reflect.DeepEqual(again["changes"], []any{}) {
				t.Errorf("%v", again)
			}
		}
		history := decodeObject(t, f.Get(t, appPath+"/changes"))
		actor := members(history, "field")
		entry, _ := history["data"].([]any)[0].(object)
		if by, _ := entry["actor"].(object); by["name"] != s.Actor.Name || by["id"] != s.Actor.ID.String() {
			t.Errorf("%v by %v", actor, by)
		}
	}, withMCP)
}

// decodeAny is for comparing what a tool and the API answer.
func decodeAny(t *testing.T, text string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// The confirmation is good for the object as it was shown, and for the arguments that were shown.
func TestMCPConfirmation(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		f := newFixture(t, s)
		a := connect(t, s.Client, "")
		shown := a.want(t, "update_app", updateOne)
		confirmed := with(updateOne, "confirmation", shown["confirmation"])
		before := f.allTables(t)
		for name, value := range map[string]any{
			"license_count": 51, "app_id": strings.ToUpper(appID), "is_approved": true, "is_favorite": nil,
		} {
			body := a.wantError(t, "update_app", with(confirmed, name, value), 400, "invalid_request")
			if message, _ := body["message"].(string); !strings.Contains(message, "other arguments") {
				t.Errorf("%s: %v", name, body)
			}
		}
		a.wantError(t, "update_apps", object{"client_id": clientID, "updates": []any{}, "confirmation": shown["confirmation"]}, 400, "invalid_request")
		for _, garbled := range []any{"", "x", "!", 5, shown["confirmation"].(string)[1:]} {
			a.wantError(t, "update_app", with(updateOne, "confirmation", garbled), 400, "invalid_request")
		}
		if after := f.allTables(t); after != before {
			t.Errorf("a refused confirmation wrote\n%s\nbefore\n%s", after, before)
		}
		f.Patch(t, appPath, `{"is_approved":true}`)
		body := a.wantError(t, "update_app", confirmed, 412, "precondition_failed")
		if body["message"] != "The object has changed since the entity tag in If-Match" {
			t.Errorf("%v", body)
		}
		// With a confirmation of the app as it is now it is written; once, since the app is another one then.
		confirmed["confirmation"] = a.want(t, "update_app", updateOne)["confirmation"]
		a.want(t, "update_app", confirmed)
		a.wantError(t, "update_app", confirmed, 412, "precondition_failed")
	}, withMCP)
}

// A token that may write and not read gets a preview without what the app is now, which is guarded all the same.
func TestMCPWriteWithoutRead(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		f := newFixture(t, s)
		a := connect(t, f.clients["writer"], "")
		shown := a.want(t, "update_app", updateOne)
		if _, has := shown["changes"]; has {
			t.Errorf("%v", shown)
		}
		f.Patch(t, appPath, `{"is_approved":true}`)
		a.wantError(t, "update_app", with(updateOne, "confirmation", shown["confirmation"]), 412, "precondition_failed")
		a.wantError(t, "get_app", object{"client_id": clientID, "app_id": appID}, 403, "forbidden")
	}, withMCP)
}

func TestMCPAdd(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		f := newFixture(t, s)
		withNewEntry(t, s)
		a := connect(t, s.Client, "")
		add := object{"client_id": clientID, "catalog_app_id": newEntry, "license_count": 0}
		before := f.allTables(t)
		shown := a.want(t, "add_app", add)
		if result, _ := shown["result"].(object); shown["written"] != false || result["license_count"] != 0.0 {
			t.Errorf("%v", shown)
		}
		if after := f.allTables(t); after != before {
			t.Errorf("the preview wrote\n%s\nbefore\n%s", after, before)
		}
		add["confirmation"] = shown["confirmation"]
		added := a.want(t, "add_app", add)
		if got := decodeObject(t, f.Get(t, clientPath+"/apps/"+added["id"].(string))); !reflect.DeepEqual(got, added) {
			t.Errorf("the tool answers %v, the API %v", added, got)
		}
		a.wantError(t, "add_app", add, 409, "conflict")
	}, withMCP)
}

// Of many apps the preview shows each, and the confirmation guards each.
func TestMCPUpdateMany(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		f := newFixture(t, s)
		withNewEntry(t, s)
		a := connect(t, s.Client, "")
		second := a.want(t, "add_app", object{"client_id": clientID, "catalog_app_id": newEntry})
		add := object{"client_id": clientID, "catalog_app_id": newEntry, "confirmation": second["confirmation"]}
		secondID, _ := a.want(t, "add_app", add)["id"].(string)
		many := object{"client_id": clientID, "updates": []any{
			object{"id": appID, "license_count": 7}, object{"id": nilID, "is_favorite": true}, object{"id": secondID, "is_favorite": true, "is_approved": false},
		}}
		before := f.allTables(t)
		shown := a.want(t, "update_apps", many)
		if after := f.allTables(t); after != before {
			t.Errorf("the preview wrote\n%s\nbefore\n%s", after, before)
		}
		changes := []any{
			object{"id": appID, "field": "license_count", "before": nil, "after": 7.0},
			object{"id": secondID, "field": "is_favorite", "before": false, "after": true},
		}
		if !reflect.DeepEqual(shown["changes"], changes) {
			t.Errorf("%v", shown)
		}
		f.Patch(t, appPath, `{"is_approved":true}`)
		many["confirmation"] = shown["confirmation"]
		done := a.want(t, "update_apps", many)
		want := decodeAny(t, outcome(quote(secondID), failure(appID, "precondition_failed", "The app has changed since the entity tag in if_match"),
			failure(nilID, "not_found", "App not found")))
		if !reflect.DeepEqual(any(done), want) {
			t.Errorf("%v, want %v", done, want)
		}
		// Of more apps than are read, it shows the result alone.
		var updates []any
		for range 21 {
			updates = append(updates, object{"id": uuid.NewString(), "is_favorite": true})
		}
		more := object{"client_id": clientID, "updates": append(updates[:20:20], object{"id": appID, "is_favorite": true})}
		shown = a.want(t, "update_apps", more)
		if _, has := shown["changes"]; has {
			t.Errorf("%v", shown)
		}
		done = a.want(t, "update_apps", with(more, "confirmation", shown["confirmation"]))
		if !reflect.DeepEqual(done["succeeded"], []any{appID}) {
			t.Errorf("%v", done)
		}
	}, withMCP)
}

// What the API refuses, a tool refuses, with the same error.
func TestMCPErrors(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		f := newFixture(t, s)
		a := connect(t, s.Client, "")
		before := f.allTables(t)
		app := object{"client_id": clientID, "app_id": appID}
		body := a.wantError(t, "update_app", with(with(app, "license_count", -1), "is_favorite", "yes"), 400, "invalid_request")
		details, _ := body["details"].(object)
		if list, _ := details["errors"].([]any); len(list) != 2 {
			t.Errorf("%v", body)
		}
		for _, wrong := range []struct {
			tool      string
			arguments object
		}{
			{"get_app", object{"client_id": clientID}},
			{"get_app", object{"client_id": clientID, "app_id": ""}},
			{"get_app", object{"client_id": clientID, "app_id": 5}},
			{"get_app", object{"client_id": clientID, "app_id": "../" + appID}},
			{"get_app", object{"client_id": clientID, "app_id": ".."}},
			{"get_app", with(app, "fields", "id")},
			{"get_app", with(app, "confirmation", "x")},
			{"update_app", with(app, "dry_run", false)},
			{"update_app", with(app, "if_match", "*")},
			{"list_apps", object{"client_id": clientID, "page_size": 501}},
			{"list_apps", object{"client_id": clientID, "page_size": object{}}},
			{"list_apps", object{"client_id": clientID, "is_favorite": "true&q=x"}},
			{"add_app", object{"client_id": clientID}},
			{"update_apps", object{"client_id": clientID, "updates": "x"}},
			{"update_apps", object{"client_id": clientID, "updates": []any{5}}},
		} {
			a.wantError(t, wrong.tool, wrong.arguments, 400, "invalid_request")
		}
		a.wantError(t, "get_app", object{"client_id": clientID, "app_id": nilID}, 404, "not_found")
		// A token learns nothing of clients that it does not cover, and needs the scope.
		reader := connect(t, f.clients["reader"], "")
		reader.want(t, "get_app", app)
		reader.wantError(t, "update_app", updateOne, 403, "forbidden")
		reader.wantError(t, "list_clients", object{}, 403, "forbidden")
		other := connect(t, f.clients["other"], "")
		for _, client := range []string{clientID, nilID} {
			outside := other.wantError(t, "list_apps", object{"client_id": client}, 403, "forbidden")
			if outside["message"] != "Insufficient permissions for this client" {
				t.Errorf("%v", outside)
			}
			other.wantError(t, "update_app", with(updateOne, "client_id", client), 403, "forbidden")
			if _, err := other.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: "clientapps://clients/" + client + "/apps"}); err == nil ||
				!strings.Contains(err.Error(), "forbidden: Insufficient permissions for this client") {
				t.Errorf("%v", err)
			}
		}
		if after := f.allTables(t); after != before {
			t.Errorf("a refused call wrote\n%s\nbefore\n%s", after, before)
		}
	}, withMCP)
}

// The limit of a token for a client holds for its calls, which count as what they ask of the API.
func TestMCPRateLimit(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		a := connect(t, s.Client, "")
		app := object{"client_id": clientID, "app_id": appID}
		a.want(t, "get_app", app)
		a.want(t, "update_app", updateOne) // reads the app, too
		answer, failed := a.call(t, "get_app", app)
		if body, _ := answer["error"].(object); !failed || answer["status"] != 429.0 || body["code"] != "rate_limited" || answer["retry_after"] != 1.0 {
			t.Errorf("%v", answer)
		}
		if got := s.Get(t, appPath); got.Status != http.StatusTooManyRequests {
			t.Errorf("the API answers %d", got.Status)
		}
	}, withMCP, func(c *server.Config) { c.RateLimit, c.RateBurst = 1, 3 })
}

// The log has the call and the requests that it makes, under one request id, and the history has that id.
func TestMCPRequestID(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, storetest.SQLite(t), withMCP)
	a := connect(t, s.Client, "")
	before := len(s.Log.Requests(t))
	shown := a.want(t, "update_app", updateOne)
	a.want(t, "update_app", with(updateOne, "confirmation", shown["confirmation"]))
	var seen []string
	ids := map[any]int{}
	for _, line := range s.Log.Requests(t)[before:] {
		id, _ := line["operation_id"].(string)
		seen = append(seen, id)
		ids[line["request_id"]]++
		if line["token_id"] != s.Actor.ID.String() {
			t.Errorf("%v", line)
		}
	}
	if got := strings.Join(seen, " "); got != "getApp updateApp mcp updateApp mcp" || len(ids) != 2 {
		t.Errorf("%s, %v", got, ids)
	}
	history, _ := decodeObject(t, s.Get(t, appPath+"/changes"))["data"].([]any)
	entry, _ := history[0].(object)
	if ids[entry["request_id"]] != 2 {
		t.Errorf("%v is none of %v", entry, ids)
	}
}

// A message counts as itself, and what it asks of the API as that.
func TestMCPMetrics(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	s := servertest.New(t, storetest.SQLite(t), withMCP, withMetrics(registry))
	a := connect(t, s.Client, "2026-07-28") // says hello in one message
	a.want(t, "update_app", updateOne)
	wantMetric(t, registry, "clientapps_http_requests_total", map[string]float64{
		`{operation="mcp",status="200"}`: 2, `{operation="getApp",status="200"}`: 1, `{operation="updateApp",status="200"}`: 1,
	})
}

// A token of an identity provider does what its claims say, and the history names its subject.
func TestMCPWithProvider(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		i := newIssuer(t)
		s := servertest.New(t, url, withIssuer(i), withMCP)
		a := connect(t, clientWith(s, i.token(t, map[string]any{"sub": "ada"})), "")
		shown := a.want(t, "update_app", updateOne)
		a.want(t, "update_app", with(updateOne, "confirmation", shown["confirmation"]))
		a.wantError(t, "list_clients", object{}, 403, "forbidden")
		history, _ := decodeObject(t, s.Get(t, appPath+"/changes"))["data"].([]any)
		entry, _ := history[0].(object)
		if actor, _ := entry["actor"].(object); actor["name"] != "ada" {
			t.Errorf("%v", entry)
		}
	})
}

// Without the setting there is no endpoint.
func TestMCPOff(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, storetest.SQLite(t))
	for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodOptions} {
		if got := s.Send(t, servertest.Request{Method: method, Target: "/mcp"}); got.Status != http.StatusNotFound {
			t.Errorf("%s: %d", method, got.Status)
		}
	}
}

// A token of the server's own kind that ended is refused as by the API.
func TestMCPNeedsToken(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		f := newFixture(t, s)
		for _, name := range []string{"anonymous", "unknown", "expired", "revoked"} {
			got := f.clients[name].Send(t, servertest.Request{Method: http.MethodPost, Target: "/mcp", Body: "x"})
			if want := `{"error":{"code":"unauthorized","message":"Authentication required"}}` + "\n"; got.Status != 401 || got.Body != want {
				t.Errorf("%s: %d %s", name, got.Status, got.Body)
			}
		}
		secret, token := s.NewToken(t, store.Token{Name: "short", Scopes: "apps:read", AllClients: true})
		a := connect(t, &servertest.Client{URL: s.URL, Token: secret}, "")
		a.want(t, "get_app", object{"client_id": clientID, "app_id": appID})
		if _, err := s.Store.RevokeToken(t.Context(), nil, token.ID, false); err != nil {
			t.Fatal(err)
		}
		if _, err := a.ListTools(t.Context(), nil); err == nil {
			t.Error("a revoked token is accepted")
		}
	}, withMCP)
}
