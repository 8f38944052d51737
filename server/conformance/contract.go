package conformance

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// Operation is one operation of the contract.
type Operation struct {
	ID           string
	Method       string
	Path         string                // with its parameters in braces
	Scopes       []string              // a token needs all of them
	AllClients   bool                  // needs a token for all clients
	Params       []*openapi3.Parameter // of the path and of the operation
	Body         *openapi3.Schema      // nil if there is none; of an import, that of a row
	MediaTypes   []string              // of the body
	Files        map[string]string     // an example of each media type, if the body is a file
	BodyOptional bool                  // the body may be left out
	Example      json.RawMessage       // a valid body
	Result       *openapi3.Schema      // of the success response; nil if it has no body
	ResultType   string                // the first media type of the success response
	Success      int                   // the status of the success response
	Methods      []string              // of the path
	PatchTypes   string                // what the path accepts for PATCH, as Accept-Patch says it
	base         string                // the path prefix of the server
}

// Read returns the operations of the contract: reads first, deletions last.
func Read(file string) ([]*Operation, error) {
	doc, err := openapi3.NewLoader().LoadFromFile(file)
	if err != nil {
		return nil, err
	}
	var all []*Operation
	for path, item := range doc.Paths.Map() {
		var methods []string
		for method := range item.Operations() {
			methods = append(methods, method)
		}
		for method, o := range item.Operations() {
			op, err := newOperation(doc, path, method, item, o)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", method, path, err)
			}
			op.Methods, op.base = methods, doc.Servers[0].URL
			all = append(all, op)
		}
	}
	order := []string{"GET", "PATCH", "POST", "PUT", "DELETE"}
	slices.SortFunc(all, func(a, b *Operation) int {
		return cmp.Or(slices.Index(order, a.Method)-slices.Index(order, b.Method), strings.Compare(a.ID, b.ID))
	})
	return all, nil
}

func newOperation(doc *openapi3.T, path, method string, item *openapi3.PathItem, o *openapi3.Operation) (*Operation, error) {
	op := &Operation{ID: o.OperationID, Method: method, Path: path, Scopes: (*o.Security)[0]["bearerAuth"]}
	op.AllClients, _ = o.Extensions["x-all-clients"].(bool)
	for _, list := range []openapi3.Parameters{item.Parameters, o.Parameters} {
		for _, p := range list {
			op.Params = append(op.Params, p.Value)
		}
	}
	for _, status := range []int{200, 201, 204} {
		if r := o.Responses.Status(status); r != nil {
			op.Success = status
			if media := r.Value.Content["application/json"]; media != nil {
				op.Result = media.Schema.Value
			}
			for name := range r.Value.Content {
				op.ResultType = min(cmp.Or(op.ResultType, name), name)
			}
		}
	}
	if item.Patch != nil {
		op.PatchTypes = strings.Join(slices.Sorted(maps.Keys(item.Patch.RequestBody.Value.Content)), ", ")
	}
	if o.RequestBody == nil {
		return op, nil
	}
	op.BodyOptional = !o.RequestBody.Value.Required
	for name, media := range o.RequestBody.Value.Content {
		op.MediaTypes, op.Body = append(op.MediaTypes, name), media.Schema.Value
		first := slices.Min(slices.Collect(maps.Keys(media.Examples)))
		value := media.Examples[first].Value.Value
		if file, ok := value.(string); ok {
			if op.Files == nil {
				op.Files = map[string]string{}
			}
			op.Files[name] = file
			continue
		}
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		op.Example = text
	}
	slices.Sort(op.MediaTypes)
	if op.Files != nil {
		op.Body, op.Example = rowSchema(doc, op.ID), json.RawMessage(op.Files[ndjson])
	}
	return op, nil
}

// Param returns the operation's parameter with this name, or nil.
func (op *Operation) Param(name string) *openapi3.Parameter {
	for _, p := range op.Params {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// IsList reports whether the operation returns the pages of a list.
func (op *Operation) IsList() bool {
	return op.Result != nil && op.Result.Properties["total_count"] != nil
}

// IsFeed reports whether the operation returns the pages of a feed, which has no end.
func (op *Operation) IsFeed() bool {
	return op.Result != nil && op.Result.Properties["has_more"] != nil
}

// IsStream reports whether the operation answers with events.
func (op *Operation) IsStream() bool { return op.ResultType == "text/event-stream" }

// IsExport reports whether the operation answers with a file of rows.
func (op *Operation) IsExport() bool { return op.ResultType == ndjson }

// PerClient reports whether the path has a client id.
func (op *Operation) PerClient() bool { return strings.Contains(op.Path, "{client_id}") }

// Target returns the path with its parameters replaced by values, or by the contract's examples.
func (op *Operation) Target(values map[string]string) string {
	target := op.Path
	for _, p := range op.Params {
		if p.In != openapi3.ParameterInPath {
			continue
		}
		value, ok := values[p.Name]
		if !ok {
			value = exampleOf(p)
		}
		target = strings.Replace(target, "{"+p.Name+"}", value, 1)
	}
	return op.base + target
}

// exampleOf returns the example of a parameter, or one of its named examples.
func exampleOf(p *openapi3.Parameter) string {
	if p.Examples == nil {
		return fmt.Sprint(p.Example)
	}
	names := slices.Sorted(maps.Keys(p.Examples))
	return fmt.Sprint(p.Examples[names[0]].Value.Value)
}

// Allow returns the value of the path's Allow header.
func (op *Operation) Allow() string {
	methods := append([]string{"OPTIONS"}, op.Methods...)
	if slices.Contains(methods, "GET") {
		methods = append(methods, "HEAD")
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}

// ReadOnly returns the fields of an object that exist but cannot be written, with the reasons.
func ReadOnly(object *openapi3.Schema) map[string]string {
	reasons := map[string]string{}
	if named, ok := object.Extensions["x-read-only-reasons"].(map[string]any); ok {
		for name, reason := range named {
			reasons[name] = fmt.Sprint(reason)
		}
	}
	return reasons
}
