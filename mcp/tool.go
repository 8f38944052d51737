package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/clientapps/clientapps/operations"
)

// extension has the values of x-mcp, which an operation has when assistants may call it.
type extension struct {
	Name        string `json:"name"`        // of the tool
	Description string `json:"description"` // when to use it
	ReadOnly    bool   `json:"read_only"`
	Resource    string `json:"resource"` // the title of what it reads as a resource; "" for none
}

// readExtension returns nil for an operation without the extension.
func readExtension(op *operations.Operation) (*extension, error) {
	raw, ok := op.Extensions["x-mcp"]
	if !ok {
		return nil, nil //nolint:nilnil // most operations have none, and that is no error
	}
	d := json.NewDecoder(bytes.NewReader(encode(raw)))
	d.DisallowUnknownFields()
	ext := &extension{}
	if err := d.Decode(ext); err != nil {
		return nil, fmt.Errorf("x-mcp: %w", err)
	}
	switch {
	case ext.Name == "" || ext.Description == "":
		return nil, errors.New("x-mcp needs a name and a description")
	case ext.ReadOnly != (op.Method == http.MethodGet):
		return nil, fmt.Errorf("x-mcp: read_only is wrong for %s", op.Method)
	case ext.Resource != "" && !ext.ReadOnly:
		return nil, errors.New("x-mcp: only what is read is a resource")
	}
	return ext, nil
}

// tool calls one operation. One that writes does so only when it is called again with the confirmation of the first answer.
type tool struct {
	api       *api
	op        *operations.Operation
	name      string
	arguments []*operations.Argument // of the path, the query and the body, without dry_run
	input     map[string]any         // JSON Schema

	// Of a tool that writes.
	writes  bool
	ifMatch string                // the argument for the header If-Match; "" for none
	read    *operations.Operation // reads the object that is written; nil for none
	items   *items                // nil if it does not write several objects
}

const (
	dryRun       = "dry_run"
	confirmation = "confirmation"
)

func newTool(a *api, doc *operations.Document, op *operations.Operation, ext *extension) (*tool, error) {
	t := &tool{api: a, op: op, name: ext.Name, writes: !ext.ReadOnly}
	hasDryRun := false
	for _, argument := range op.Arguments {
		switch {
		case argument.In == openapi3.ParameterInHeader:
			if argument.Field == "If-Match" {
				t.ifMatch = argument.Name
			}
		case t.writes && argument.In == openapi3.ParameterInQuery && argument.Field == dryRun:
			hasDryRun = true
		case argument.Name == confirmation:
			return nil, errors.New("a tool adds an argument named confirmation")
		default:
			t.arguments = append(t.arguments, argument)
		}
	}
	var err error
	if t.input, err = inputSchema(t.arguments); err != nil {
		return nil, err
	}
	if !t.writes {
		return t, nil
	}
	if !hasDryRun {
		return nil, errors.New("a tool that writes needs dry_run")
	}
	t.input["properties"].(map[string]any)[confirmation] = confirmationSchema() //nolint:errcheck // inputSchema made it
	if t.ifMatch != "" {
		t.read = findRead(doc, func(path string) bool { return path == op.Path })
	}
	t.items = itemsOf(doc, op)
	return t, nil
}

// findRead returns the operation that reads a path, or nil.
func findRead(doc *operations.Document, matches func(path string) bool) *operations.Operation {
	i := slices.IndexFunc(doc.Operations, func(op *operations.Operation) bool {
		return op.Method == http.MethodGet && matches(op.Path)
	})
	if i < 0 {
		return nil
	}
	return doc.Operations[i]
}

// describe returns the tool as clients list it.
func (t *tool) describe(ext *extension) *sdk.Tool {
	no := false
	hints := &sdk.ToolAnnotations{
		Title: t.op.Summary, ReadOnlyHint: ext.ReadOnly, OpenWorldHint: &no,
		IdempotentHint: t.op.Method != http.MethodPost,
	}
	if t.writes {
		overwrites := t.op.Method != http.MethodPost
		hints.DestructiveHint = &overwrites
	}
	text := ext.Description
	if t.writes {
		text += "\n\nWithout `confirmation` it writes nothing and answers what would change, with a `confirmation`. Only when called again with " +
			"the same arguments and that `confirmation` does it write."
	}
	return &sdk.Tool{Name: t.name, Title: t.op.Summary, Description: text, InputSchema: t.input, Annotations: hints}
}

// call answers a call of the tool.
func (t *tool) call(ctx context.Context, request *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
	values := map[string]any{}
	if given := request.Params.Arguments; len(given) > 0 {
		d := json.NewDecoder(bytes.NewReader(given))
		d.UseNumber()
		if err := d.Decode(&values); err != nil {
			return refuse(ctx, "arguments", "arguments must be an object").result(), nil //nolint:nilerr // the client's mistake
		}
	}
	if values == nil { // the arguments are null
		values = map[string]any{}
	}
	given, isConfirmed := values[confirmation]
	if t.writes {
		delete(values, confirmation)
	}
	if wrong := t.check(ctx, values); wrong != nil {
		return wrong.result(), nil
	}
	switch {
	case !t.writes:
		a, err := t.api.do(ctx, t.op, values)
		if err != nil {
			return nil, &internalError{err}
		}
		return a.toResult()
	case isConfirmed && given != nil:
		return t.confirm(ctx, values, given)
	}
	return t.preview(ctx, values)
}

// check refuses arguments of which no request can be made. The API checks all others.
func (t *tool) check(ctx context.Context, values map[string]any) *failure {
	for name := range values {
		if !slices.ContainsFunc(t.arguments, func(a *operations.Argument) bool { return a.Name == name }) {
			return refuse(ctx, name, fmt.Sprintf("Unknown argument %q", name))
		}
	}
	for _, a := range t.arguments {
		v, given := values[a.Name]
		if a.Required && (!given || v == nil && a.In != "body") {
			return refuse(ctx, a.Name, a.Name+" is required")
		}
		if text, isText := v.(string); a.In == openapi3.ParameterInPath && (!isText || text == "") {
			return refuse(ctx, a.Name, a.Name+" must be a text that is not empty")
		}
	}
	return nil
}
