package contract

import (
	"iter"
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/clientapps/clientapps"
)

// load loads one form of the contract.
func load(t *testing.T, file string) *openapi3.T {
	t.Helper()
	text, err := clientapps.Contract.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return doc
}

// operations yields the operations of a contract by id, with all their parameters.
func operations(doc *openapi3.T) iter.Seq2[string, *openapi3.Operation] {
	return func(yield func(string, *openapi3.Operation) bool) {
		for _, item := range doc.Paths.Map() {
			for _, op := range item.Operations() {
				whole := *op
				whole.Parameters = slices.Concat(item.Parameters, op.Parameters)
				if !yield(op.OperationID, &whole) {
					return
				}
			}
		}
	}
}

// body is a request or response body of an operation in one media type.
type body struct {
	of    string
	media *openapi3.MediaType
	as    openapi3.SchemaValidationOption
}

// bodies yields all request and response bodies of a contract.
func bodies(doc *openapi3.T) iter.Seq[body] {
	return func(yield func(body) bool) {
		for id, op := range operations(doc) {
			if op.RequestBody != nil {
				for name, media := range op.RequestBody.Value.Content {
					if !yield(body{id + " takes " + name, media, openapi3.VisitAsRequest()}) {
						return
					}
				}
			}
			for status, response := range op.Responses.Map() {
				for name, media := range response.Value.Content {
					if !yield(body{id + " answers " + status + " " + name, media, openapi3.VisitAsResponse()}) {
						return
					}
				}
			}
		}
	}
}
