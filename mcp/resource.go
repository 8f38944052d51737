package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/clientapps/clientapps/operations"
)

const mediaTypeJSON = "application/json"

// addResource adds what an operation reads, under the operation's path: scheme://clients/{client_id}/apps. A list begins with its first
// page. Its next_cursor, as ?cursor=, is the URI of the next one.
func addResource(server *sdk.Server, a *api, scheme string, op *operations.Operation, ext *extension) error {
	uri := scheme + "://" + strings.TrimPrefix(op.Path, "/")
	template := uri
	for _, argument := range op.Arguments {
		switch {
		case argument.In == "query" && argument.Field == "cursor":
			template = uri + "{?cursor}"
		case argument.In != "path" && argument.Required:
			return errors.New("a resource has no place for " + argument.Name)
		}
	}
	read := func(ctx context.Context, request *sdk.ReadResourceRequest) (*sdk.ReadResourceResult, error) {
		values, ok := match(op.Path, scheme, request.Params.URI)
		if !ok {
			return nil, sdk.ResourceNotFoundError(request.Params.URI)
		}
		got, err := a.do(ctx, op, values)
		if err != nil {
			return nil, sdk.ResourceNotFoundError(request.Params.URI) // it has no value for a part of the path
		}
		return got.toResource(request.Params.URI)
	}
	if !strings.Contains(uri, "{") {
		server.AddResource(&sdk.Resource{
			URI: uri, Name: ext.Name, Title: ext.Resource, Description: ext.Description, MIMEType: mediaTypeJSON,
		}, read)
	}
	if strings.Contains(template, "{") {
		server.AddResourceTemplate(&sdk.ResourceTemplate{
			URITemplate: template, Name: ext.Name, Title: ext.Resource, Description: ext.Description, MIMEType: mediaTypeJSON,
		}, read)
	}
	return nil
}

// match returns the values of an operation's path and query in the URI of a resource.
func match(path, scheme, uri string) (values map[string]any, ok bool) {
	rest, ok := strings.CutPrefix(uri, scheme+"://")
	if !ok {
		return nil, false
	}
	rest, query, _ := strings.Cut(rest, "?")
	names, parts := strings.Split(strings.TrimPrefix(path, "/"), "/"), strings.Split(rest, "/")
	if len(names) != len(parts) {
		return nil, false
	}
	values = map[string]any{}
	for i, name := range names {
		part, err := url.PathUnescape(parts[i])
		switch inner, isParameter := strings.CutPrefix(name, "{"); {
		case err != nil || part == "" || !isParameter && part != name:
			return nil, false
		case isParameter:
			values[strings.TrimSuffix(inner, "}")] = part
		}
	}
	given, err := url.ParseQuery(query)
	for name := range given {
		values[name] = given.Get(name)
	}
	return values, err == nil
}

// addDocument adds the contract, which the API serves at a path.
func addDocument(server *sdk.Server, a *api, scheme, path string) {
	server.AddResource(&sdk.Resource{
		URI: scheme + "://" + strings.TrimPrefix(path, "/"), Name: strings.TrimPrefix(path, "/"), Title: "The contract of the API",
		Description: "Every operation of the API, in OpenAPI. It is long.", MIMEType: mediaTypeJSON,
	}, func(ctx context.Context, request *sdk.ReadResourceRequest) (*sdk.ReadResourceResult, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, path, http.NoBody)
		if err != nil {
			return nil, &internalError{err}
		}
		return a.serve(ctx, r).toResource(request.Params.URI)
	})
}

// codeRefused is the code of JSON-RPC for a refusal by the API; the range is for servers to define.
const codeRefused = -32000

// toResource returns an answer as a resource. An error has the error of the API as its data.
func (a *answer) toResource(uri string) (*sdk.ReadResourceResult, error) {
	if a.ok() {
		return &sdk.ReadResourceResult{Contents: []*sdk.ResourceContents{{URI: uri, MIMEType: mediaTypeJSON, Text: string(a.body)}}}, nil
	}
	f, err := newFailure(a)
	if err != nil {
		return nil, err
	}
	var body struct{ Code, Message string }
	if err := json.Unmarshal(f.Error, &body); err != nil {
		return nil, &internalError{err}
	}
	code := int64(codeRefused)
	if a.status == http.StatusNotFound {
		code = int64(jsonrpc.CodeInvalidParams) // as the protocol has it
	}
	return nil, &jsonrpc.Error{Code: code, Message: fmt.Sprintf("%s: %s", body.Code, body.Message), Data: encode(f)}
}
