package servertest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/clientapps/clientapps/server/schemas"
)

func init() { //nolint:gochecknoinits // the validator knows decoders by media type, for all of a program
	for _, media := range []string{"text/event-stream", "text/csv", "application/x-ndjson"} {
		openapi3filter.RegisterBodyDecoder(media, openapi3filter.FileBodyDecoder)
	}
}

// checkContract returns how a response violates the contract. It skips paths that the contract does not have, and OPTIONS, which
// the contract describes only in its introduction: checkRules checks them.
func checkContract(request *http.Request, target string, response *Response) []error {
	doc, err := schemas.Contract()
	if err != nil {
		return []error{err}
	}
	path, item := findPath(doc, target)
	if item == nil || request.Method == http.MethodOptions {
		return nil
	}
	var errs []error
	for method, op := range item.Operations() {
		asked := request.Method
		if asked == http.MethodHead {
			asked = http.MethodGet
		}
		// Status 405 is documented for the other methods of the path.
		if asked != method && item.GetOperation(asked) != nil {
			continue
		}
		if request.Method != http.MethodHead {
			record(op.OperationID, response.Status)
		}
		route := &routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: op}
		for _, err := range checkOperation(request, route, response) {
			errs = append(errs, fmt.Errorf("contract, %s: %w", op.OperationID, err))
		}
	}
	return errs
}

// findPath returns the contract's path that matches a request target. Fixed segments win over parameters.
func findPath(doc *openapi3.T, target string) (string, *openapi3.PathItem) {
	target, _, _ = strings.Cut(target, "?")
	target, ok := strings.CutPrefix(target, doc.Servers[0].URL)
	if !ok {
		return "", nil
	}
	parts := strings.Split(target, "/")
	best, parameters := "", 0
	for path := range doc.Paths.Map() {
		pattern := strings.Split(path, "/")
		n := 0
		matches := slices.EqualFunc(pattern, parts, func(want, got string) bool {
			if strings.HasPrefix(want, "{") {
				n++
				return got != ""
			}
			return want == got
		})
		if matches && (best == "" || n < parameters) {
			best, parameters = path, n
		}
	}
	return best, doc.Paths.Find(best)
}

// commonHeaders are headers that any response may have, besides those documented for it.
var commonHeaders = []string{
	"Cache-Control", "Content-Encoding", "Content-Length", "Content-Type", "Date", "Strict-Transport-Security",
	"Vary", "X-Content-Type-Options",
}

func checkOperation(request *http.Request, route *routers.Route, response *Response) []error {
	documented := route.Operation.Responses.Status(response.Status)
	if documented == nil {
		return []error{fmt.Errorf("status %d is not documented", response.Status)}
	}
	var errs []error
	headers := documented.Value.Headers
	for name, header := range headers {
		if err := checkHeader(header.Value, response.Header.Values(name)); err != nil {
			errs = append(errs, fmt.Errorf("header %s %w", name, err))
		}
	}
	for name := range response.Header {
		cors := request.Header.Get("Origin") != "" && strings.HasPrefix(name, "Access-Control-")
		if !cors && !slices.Contains(commonHeaders, name) && !isDocumented(headers, name) {
			errs = append(errs, fmt.Errorf("header %s is not documented", name))
		}
	}
	given := response.Header.Get("Content-Type")
	switch content := documented.Value.Content; {
	case len(content) == 0 && (given != "" || response.Body != ""):
		errs = append(errs, fmt.Errorf("there should be no body, and no Content-Type %q", given))
	case len(content) > 0 && content[given] == nil:
		errs = append(errs, fmt.Errorf("media type %q is not documented", given))
	}
	if request.Method == http.MethodHead || len(documented.Value.Content) == 0 {
		return errs
	}
	err := openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: request, Route: route},
		Status:                 response.Status,
		Header:                 response.Header,
		Body:                   io.NopCloser(strings.NewReader(response.Body)),
		Options:                &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	})
	if err != nil {
		errs = append(errs, err)
	}
	return errs
}

func checkHeader(header *openapi3.Header, values []string) error {
	switch {
	case len(values) == 0 && header.Required:
		return fmt.Errorf("is missing")
	case len(values) == 0:
		return nil
	case len(values) > 1:
		return fmt.Errorf("comes %d times", len(values))
	}
	var value any = values[0]
	if schema := header.Schema.Value; schema.Type.Is(openapi3.TypeInteger) {
		n, err := strconv.ParseFloat(values[0], 64)
		if err != nil {
			return fmt.Errorf("is not a number: %w", err)
		}
		value = n
	}
	if err := header.Schema.Value.VisitJSON(value, openapi3.VisitAsResponse()); err != nil {
		return fmt.Errorf("does not match its schema: %w", err)
	}
	return nil
}

// isDocumented reports whether a header is among those documented, in any letter case: the contract spells WWW-Authenticate differently.
func isDocumented(headers openapi3.Headers, name string) bool {
	for documented := range headers {
		if strings.EqualFold(documented, name) {
			return true
		}
	}
	return false
}
