package operations

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// Document is the part of an OpenAPI document that callers of its operations need.
type Document struct {
	Server     string // the URL of the first server, often a path alone
	Tags       []string
	Operations []*Operation // by path, then GET, POST, PUT, PATCH, DELETE
}

// Operation is one operation of a document.
type Operation struct {
	ID, Method, Path     string
	Tag                  string // the first one; "" for none
	Summary, Description string
	Deprecated           bool
	Arguments            []*Argument // of the path, the query, the headers, then the body
	Body                 *Body       // nil if it has none
	Answers              []string    // media types of its successes, sorted
	Answer               *openapi3.Schema
	Extensions           map[string]any
}

// Argument is a named value of a request: a parameter, or a property of a JSON body.
type Argument struct {
	// Name is the name in snake case. Where two arguments of an operation share a name, the one of the body is named body_NAME.
	Name        string
	In          string // path, query, header or body
	Field       string // the name in the document
	Required    bool
	Description string
	Schema      *openapi3.Schema
	Examples    []Example

	parameter *openapi3.Parameter // nil for a property of the body
}

// Example is a named example of the document. One without a name is named "".
type Example struct {
	Name  string
	Value any // of the package encoding/json
}

// The place of arguments that are properties of the body.
const inBody = "body"

// Body describes the body of a request.
type Body struct {
	Required   bool
	MediaTypes []string         // sorted
	JSON       string           // the media type for JSON, application/json if there is a choice; "" for a file
	Schema     *openapi3.Schema // of the JSON; nil for a file
	Examples   []Example        // of the JSON, or of the file in each media type
}

// Read reads a document in JSON or YAML. References to other documents are refused.
func Read(text []byte) (*Document, error) {
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, fmt.Errorf("not an OpenAPI document: %w", err)
	}
	return New(doc)
}

// New returns the operations of a document.
func New(doc *openapi3.T) (*Document, error) {
	d := &Document{}
	if len(doc.Servers) > 0 {
		d.Server = doc.Servers[0].URL
	}
	for _, tag := range doc.Tags {
		d.Tags = append(d.Tags, tag.Name)
	}
	seen := map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for method, o := range item.Operations() {
			op, err := newOperation(path, method, item, o)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", method, path, err)
			}
			if seen[op.ID] {
				return nil, fmt.Errorf("two operations are named %s", op.ID)
			}
			seen[op.ID] = true
			d.Operations = append(d.Operations, op)
		}
	}
	if len(d.Operations) == 0 {
		return nil, fmt.Errorf("the document has no operations")
	}
	slices.SortFunc(d.Operations, func(a, b *Operation) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(methodRank(a.Method), methodRank(b.Method)))
	})
	return d, nil
}

func methodRank(method string) int {
	return slices.Index([]string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}, method)
}

func newOperation(path, method string, item *openapi3.PathItem, o *openapi3.Operation) (*Operation, error) {
	op := &Operation{
		ID: o.OperationID, Method: method, Path: path, Summary: o.Summary, Description: o.Description,
		Deprecated: o.Deprecated, Extensions: o.Extensions,
	}
	if op.ID == "" {
		op.ID = strings.ToLower(method) + strings.NewReplacer("/", "_", "{", "", "}", "").Replace(path)
	}
	if len(o.Tags) > 0 {
		op.Tag = o.Tags[0]
	}
	op.addParameters(item, o)
	if o.RequestBody != nil && o.RequestBody.Value != nil {
		op.addBody(o.RequestBody.Value)
	}
	names := map[string]bool{}
	for _, a := range op.Arguments {
		if names[a.Name] && a.In == inBody {
			a.Name = "body_" + a.Name
		}
		if names[a.Name] {
			return nil, fmt.Errorf("two arguments are named %s", a.Name)
		}
		names[a.Name] = true
	}
	op.addAnswers(o)
	return op, nil
}

func (op *Operation) addParameters(item *openapi3.PathItem, o *openapi3.Operation) {
	for _, in := range []string{openapi3.ParameterInPath, openapi3.ParameterInQuery, openapi3.ParameterInHeader} {
		for _, list := range []openapi3.Parameters{item.Parameters, o.Parameters} {
			for _, ref := range list {
				p := ref.Value
				override := o.Parameters.GetByInAndName(in, p.Name) // overrides the path's parameter
				if p.In != in || override != nil && override != p || p.Schema == nil {
					continue
				}
				op.Arguments = append(op.Arguments, &Argument{
					Name: snakeCase(p.Name), In: in, Field: p.Name, Required: p.Required, Description: p.Description,
					Schema: p.Schema.Value, Examples: examples(p.Example, p.Examples), parameter: p,
				})
			}
		}
	}
}

func (op *Operation) addBody(b *openapi3.RequestBody) {
	op.Body = &Body{Required: b.Required}
	for name, media := range b.Content {
		op.Body.MediaTypes = append(op.Body.MediaTypes, name)
		isJSON := name == "application/json" || strings.HasSuffix(name, "+json")
		if isJSON && media.Schema != nil && (op.Body.JSON == "" || name == "application/json") {
			op.Body.JSON, op.Body.Schema = name, media.Schema.Value
			op.Body.Examples = examples(media.Example, media.Examples)
		}
	}
	slices.Sort(op.Body.MediaTypes)
	if op.Body.Schema == nil {
		for _, name := range op.Body.MediaTypes {
			op.Body.Examples = append(op.Body.Examples, examples(b.Content[name].Example, b.Content[name].Examples)...)
		}
		return
	}
	required := map[string]bool{}
	for _, p := range Properties(op.Body.Schema) {
		required[p.Name] = p.Required
		if p.Schema.ReadOnly {
			continue
		}
		op.Arguments = append(op.Arguments, &Argument{
			Name: snakeCase(p.Name), In: inBody, Field: p.Name, Required: b.Required && p.Required,
			Description: p.Schema.Description, Schema: p.Schema, Examples: examples(p.Schema.Example, nil),
		})
	}
}

// addAnswers reads the media types and the JSON schema of the successes.
func (op *Operation) addAnswers(o *openapi3.Operation) {
	for status, ref := range o.Responses.Map() {
		if !strings.HasPrefix(status, "2") || ref.Value == nil {
			continue
		}
		for name, media := range ref.Value.Content {
			if !slices.Contains(op.Answers, name) {
				op.Answers = append(op.Answers, name)
			}
			if name == "application/json" && media.Schema != nil {
				op.Answer = media.Schema.Value
			}
		}
	}
	slices.Sort(op.Answers)
}

func examples(one any, named openapi3.Examples) (all []Example) {
	if one != nil {
		all = append(all, Example{"", one})
	}
	for name, ref := range named {
		if ref.Value != nil && ref.Value.Value != nil {
			all = append(all, Example{name, ref.Value.Value})
		}
	}
	slices.SortFunc(all, func(a, b Example) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// snakeCase returns a name in snake case: If-Match is if_match, pageSize page_size.
func snakeCase(name string) string {
	var b strings.Builder
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			if i > 0 && name[i-1] >= 'a' && name[i-1] <= 'z' {
				b.WriteByte('_')
			}
			c += 'a' - 'A'
		}
		if c == '-' || c == '.' || c == '[' || c == ']' || c == ' ' {
			c = '_'
		}
		b.WriteRune(c)
	}
	return b.String()
}
