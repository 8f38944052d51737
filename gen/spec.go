// Package gen has the code that is generated from the contract, and the contract itself.
package gen

import (
	_ "embed"

	"github.com/getkin/kin-openapi/openapi3"
)

//go:embed openapi.json
var document []byte

// GetSpec parses the published contract, which has nothing that only our own generator needs. Each call returns a document of
// its own.
func GetSpec() (*openapi3.T, error) { return openapi3.NewLoader().LoadFromData(document) }
