package server_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/clientapps/clientapps"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

// published is the contract as OpenAPI 3.1, whose schemas are JSON Schema. Another program has made it.
type published struct{ tree object }

func readPublished(t *testing.T) published {
	t.Helper()
	text, err := clientapps.Contract.ReadFile("gen/openapi-3.1.json")
	if err != nil {
		t.Fatal(err)
	}
	p := published{}
	if err := json.Unmarshal(text, &p.tree); err != nil {
		t.Fatal(err)
	}
	return p
}

// resolve replaces references, and removes what is no JSON Schema.
func (p published) resolve(v any) any {
	switch v := v.(type) {
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = p.resolve(item)
		}
		return list
	case object:
		out := object{}
		if ref, ok := v["$ref"].(string); ok {
			var at any = p.tree
			for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
				at = at.(object)[part]
			}
			out = p.resolve(at).(object)
		}
		for name, value := range v {
			if name != "$ref" && name != "discriminator" && !strings.HasPrefix(name, "x-") {
				out[name] = p.resolve(value)
			}
		}
		return out
	}
	return v
}

// marked calls with each operation that assistants may call.
func (p published) marked(do func(method string, mark object, item, op object)) {
	for _, v := range p.tree["paths"].(object) {
		item := v.(object)
		for method, o := range item {
			if op, ok := o.(object); ok && op["x-mcp"] != nil {
				do(method, op["x-mcp"].(object), item, op)
			}
		}
	}
}

// wantInput returns the schema of the arguments of an operation, without what a tool sets itself.
func (p published) wantInput(writes bool, item, op object) object {
	properties, required := object{}, []any{}
	shared, _ := item["parameters"].([]any)
	own, _ := op["parameters"].([]any)
	for _, v := range slices.Concat(shared, own) {
		parameter := p.resolve(v).(object)
		name := parameter["name"].(string)
		if parameter["in"] == "header" || writes && name == "dry_run" {
			continue
		}
		properties[name] = with(parameter["schema"].(object), "description", parameter["description"])
		if parameter["required"] == true {
			required = append(required, name)
		}
	}
	if op["requestBody"] != nil {
		body := p.resolve(op["requestBody"]).(object)["content"].(object)["application/json"].(object)["schema"].(object)
		maps.Copy(properties, body["properties"].(object))
		more, _ := body["required"].([]any)
		required = append(required, more...)
	}
	return object{"type": "object", "additionalProperties": false, "properties": properties, "required": required}
}

// Every property, bound, enumeration and required argument of a tool is that of the contract, and every marked operation is a tool.
func TestMCPToolsAreTheContracts(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, storetest.SQLite(t), withMCP)
	a := connect(t, s.Client, "")
	listed, err := a.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	tools := map[string]*sdk.Tool{}
	for _, tool := range listed.Tools {
		tools[tool.Name] = tool
	}
	p := readPublished(t)
	p.marked(func(method string, mark, item, op object) {
		name, _ := mark["name"].(string)
		tool := tools[name]
		if tool == nil {
			t.Errorf("no tool %s", name)
			return
		}
		delete(tools, name)
		writes := mark["read_only"] == false
		got, _ := tool.InputSchema.(object)
		if writes {
			properties, _ := got["properties"].(object)
			if confirmation, _ := properties["confirmation"].(object); confirmation["type"] != "string" {
				t.Errorf("%s: %v", name, properties)
			}
			delete(properties, "confirmation")
		}
		want := p.wantInput(writes, item, op)
		if len(want["required"].([]any)) == 0 {
			delete(want, "required")
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s has\n%s\nwant\n%s", name, textOf(t, got), textOf(t, want))
		}
		description, _ := mark["description"].(string)
		hints := tool.Annotations
		if !strings.HasPrefix(tool.Description, description) || tool.Title != op["summary"] || hints.Title != op["summary"] {
			t.Errorf("%s: %s, %s, %+v", name, tool.Title, tool.Description, hints)
		}
		if hints.ReadOnlyHint == writes || *hints.OpenWorldHint || hints.IdempotentHint != (method != "post") ||
			writes && *hints.DestructiveHint != (method == "patch") || (method == "get") == writes {
			t.Errorf("%s: %+v", name, hints)
		}
	})
	for name := range tools {
		t.Errorf("no operation is marked for %s", name)
	}
	about := a.InitializeResult()
	if about.ServerInfo.Name != "clientapps" || about.ServerInfo.Version == "" || about.Capabilities.Tools == nil || about.Capabilities.Tools.ListChanged ||
		about.Capabilities.Resources == nil || about.Capabilities.Resources.Subscribe {
		t.Errorf("%+v %+v", about.ServerInfo, about.Capabilities)
	}
	names := regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(about.Instructions, -1)
	if len(names) < 8 {
		t.Errorf("%s", about.Instructions)
	}
	for _, tool := range listed.Tools {
		if tool.Name != "get_app" && !slices.ContainsFunc(names, func(found []string) bool { return found[1] == tool.Name }) {
			t.Errorf("the instructions do not name %s", tool.Name)
		}
	}
}

func textOf(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Resources are what the API answers, page by page.
func TestMCPResources(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		withNewEntry(t, s)
		a := connect(t, s.Client, "")
		listed, err := a.ListResources(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		templates, err := a.ListResourceTemplates(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		var uris []string
		for _, r := range listed.Resources {
			uris = append(uris, r.URI)
		}
		for _, r := range templates.ResourceTemplates {
			uris = append(uris, r.URITemplate)
		}
		if got, want := strings.Join(uris, " "), "clientapps://catalog-apps clientapps://openapi.json "+
			"clientapps://catalog-apps{?cursor} clientapps://clients/{client_id}/apps{?cursor}"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		read := func(uri string) string {
			t.Helper()
			result, err := a.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: uri})
			if err != nil {
				t.Fatalf("%s: %v", uri, err)
			}
			if c := result.Contents[0]; c.URI != uri || c.MIMEType != "application/json" || len(result.Contents) > 1 || result.CacheScope != "private" {
				t.Errorf("%s: %+v", uri, c)
			}
			return result.Contents[0].Text
		}
		for uri, target := range map[string]string{
			"clientapps://catalog-apps":                  "/v2/catalog-apps",
			"clientapps://openapi.json":                  "/openapi.json",
			"clientapps://clients/" + clientID + "/apps": clientPath + "/apps",
		} {
			if got, want := read(uri), s.Get(t, target).Body; !sameJSON(t, got, want) {
				t.Errorf("%s is %s, want %s", uri, got, want)
			}
		}
		first := decodeObject(t, s.Get(t, "/v2/catalog-apps?page_size=1"))
		cursor, _ := first["next_cursor"].(string)
		if got, want := read("clientapps://catalog-apps?cursor="+cursor), s.Get(t, "/v2/catalog-apps?cursor="+cursor).Body; !sameJSON(t, got, want) {
			t.Errorf("the next page is %s, want %s", got, want)
		}
		for uri, want := range map[string]string{
			"clientapps://clients/" + nilID + "/apps":             "not_found: Client not found",
			"clientapps://clients/x/apps":                         "invalid_request: ",
			"clientapps://catalog-apps?cursor=AAECAwQFBgc":        "invalid_request: ",
			"clientapps://tokens":                                 "not found",
			"clientapps://clients/" + clientID + "/apps/" + appID: "not found",
			"other://catalog-apps":                                "not found",
			"clientapps://clients/%2E%2E/apps":                    "invalid_request: ",
		} {
			if _, err := a.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: uri}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %s", uri, err, want)
			}
		}
		if got := s.Get(t, "/mcp"); got.Status != http.StatusMethodNotAllowed {
			t.Errorf("%d", got.Status)
		}
	}, withMCP)
}
