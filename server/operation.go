package server

import (
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server/eventstream"
	"github.com/clientapps/clientapps/server/rowfile"
	"github.com/clientapps/clientapps/server/schemas"
	"github.com/clientapps/clientapps/server/telemetry"
	"github.com/clientapps/clientapps/server/validate"
)

// operation has the properties of one operation of the contract that the guard needs. It is computed once, when the server starts.
type operation struct {
	id            string
	route         string                // its path in the contract
	scopes        []string              // the token needs all of them
	perClient     bool                  // the path has a client id
	allClients    bool                  // needs a token for all clients
	ownTokens     bool                  // needs a token of this server, not of an identity provider
	params        []*openapi3.Parameter // in the order path, header, query
	queryNames    map[string]bool
	body          *validate.Body // nil if the operation has no body
	requestTypes  []string       // media types of the body
	bodyOptional  bool           // the body may be left out
	upload        bool           // the body is a file, which the handler reads
	stream        bool           // its answer is a stream of events
	export        bool           // its answer is a file
	responseTypes []string       // media types of the response
	method        string
	omitDetails   bool              // an error about a single bad value has no details, as on the reference page of updateApp
	defaults      map[string]string // of the query parameters
	// Conditional headers that the operation does not support.
	unsupportedConditions []string
	responseHeader        map[string]string // fields of every response
	statuses              []int             // documented in the contract
	observed              *telemetry.Operation
}

// readOperations returns the operations of the embedded contract by id.
func readOperations() (map[string]*operation, error) {
	doc, err := schemas.Contract()
	if err != nil {
		return nil, err
	}
	operations := map[string]*operation{}
	for path, item := range doc.Paths.Map() {
		for method, o := range item.Operations() {
			op, err := newOperation(path, method, item, o)
			if err != nil {
				return nil, fmt.Errorf("read contract: %s %s: %w", method, path, err)
			}
			operations[op.id] = op
		}
	}
	return operations, nil
}

func newOperation(path, method string, item *openapi3.PathItem, o *openapi3.Operation) (*operation, error) {
	op := &operation{
		id: o.OperationID, route: basePath + path, method: method, omitDetails: o.OperationID == "updateApp",
		perClient: strings.HasPrefix(path, "/clients/{client_id}"), queryNames: map[string]bool{}, defaults: map[string]string{},
	}
	if o.Security == nil || len(*o.Security) != 1 || len((*o.Security)[0]["bearerAuth"]) == 0 {
		return nil, fmt.Errorf("operation %s must name its scopes", op.id)
	}
	var err error
	if op.responseHeader, err = deprecationHeader(o); err != nil {
		return nil, err
	}
	op.allClients, _ = o.Extensions["x-all-clients"].(bool)
	op.ownTokens, _ = o.Extensions["x-own-tokens"].(bool)
	op.scopes = (*o.Security)[0]["bearerAuth"]
	for _, in := range []string{openapi3.ParameterInPath, openapi3.ParameterInHeader, openapi3.ParameterInQuery} {
		for _, list := range []openapi3.Parameters{item.Parameters, o.Parameters} {
			for _, p := range list {
				own := o.Parameters.GetByInAndName(in, p.Value.Name) // overrides the path's parameter
				if p.Value.In == in && (own == nil || own == p.Value) {
					op.params = append(op.params, p.Value)
					op.queryNames[p.Value.Name] = in == openapi3.ParameterInQuery
					if d := p.Value.Schema.Value.Default; d != nil {
						op.defaults[p.Value.Name] = fmt.Sprint(d)
					}
				}
			}
		}
	}
	if method != http.MethodGet {
		for _, name := range []string{"If-Match", "If-None-Match"} {
			if o.Parameters.GetByInAndName(openapi3.ParameterInHeader, name) == nil {
				op.unsupportedConditions = append(op.unsupportedConditions, name)
			}
		}
	}
	for text := range o.Responses.Map() {
		status, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("operation %s answers %s, which is no status", op.id, text)
		}
		op.statuses = append(op.statuses, status)
		content := o.Responses.Value(text).Value.Content
		op.stream = op.stream || content[eventstream.MediaType] != nil
		op.export = op.export || content[rowfile.MediaTypeCSV] != nil
	}
	switch {
	case op.stream:
		op.responseTypes = []string{eventstream.MediaType}
	case op.export:
		op.responseTypes = []string{rowfile.MediaTypeCSV, rowfile.MediaTypeNDJSON}
	default:
		op.responseTypes = []string{mediaTypeJSON}
	}
	if o.RequestBody == nil {
		return op, nil
	}
	op.bodyOptional = !o.RequestBody.Value.Required
	if content := o.RequestBody.Value.Content; content[mediaTypeJSON] == nil {
		op.upload = true
		op.requestTypes = slices.Sorted(maps.Keys(content))
		return op, nil
	}
	return op, op.readBodySchema(o.RequestBody.Value.Content)
}

func (op *operation) readBodySchema(content openapi3.Content) error {
	op.requestTypes = slices.Sorted(maps.Keys(content))
	var schema *openapi3.Schema
	for _, media := range content {
		if schema != nil && schema != media.Schema.Value {
			return fmt.Errorf("operation %s must have one schema for all media types", op.id)
		}
		schema = media.Schema.Value
	}
	target, err := bodyType(op.id)
	if err != nil {
		return err
	}
	op.body, err = schemas.NewBody(schema, target)
	return err
}

// bodyType finds the Go type that the generated code binds the body of an operation to.
func bodyType(operationID string) (found reflect.Type, err error) {
	api := reflect.TypeFor[gen.StrictServerInterface]()
	for i := range api.NumMethod() {
		if method := api.Method(i); strings.EqualFold(method.Name, operationID) {
			for _, field := range reflect.VisibleFields(method.Type.In(1)) {
				if !strings.HasSuffix(field.Name, "Body") || field.Type.Kind() != reflect.Pointer {
					continue
				}
				if found != nil && found != field.Type.Elem() {
					return nil, fmt.Errorf("operation %s must have one type for all media types", operationID)
				}
				found = field.Type.Elem()
			}
		}
	}
	if found == nil {
		return nil, fmt.Errorf("operation %s has a body without a type", operationID)
	}
	return found, nil
}

// deprecationHeader returns the headers of a deprecated operation: Deprecation (RFC 9745) and Sunset (RFC 8594). It returns nil for
// all other operations.
func deprecationHeader(o *openapi3.Operation) (map[string]string, error) {
	if !o.Deprecated {
		return nil, nil
	}
	since, err := extensionDate(o, "x-deprecated-on")
	if err != nil {
		return nil, err
	}
	until, err := extensionDate(o, "x-sunset")
	if err != nil {
		return nil, err
	}
	if !since.Before(until) {
		return nil, fmt.Errorf("operation %s must be deprecated before its sunset", o.OperationID)
	}
	return map[string]string{
		"Deprecation": fmt.Sprintf("@%d", since.Unix()),
		"Sunset":      until.Format(http.TimeFormat),
	}, nil
}

func extensionDate(o *openapi3.Operation, extension string) (time.Time, error) {
	text, _ := o.Extensions[extension].(string)
	date, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("operation %s is deprecated and needs a date as %s: %w", o.OperationID, extension, err)
	}
	return date, nil
}
