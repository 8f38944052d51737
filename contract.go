// Package clientapps holds the contract in the forms in which a server hands it out.
package clientapps

import "embed"

// Contract has openapi.yaml, which is written by hand, and what is made of it: gen/openapi.json and
// gen/openapi-3.1.json.
//
//go:embed openapi.yaml gen/openapi.json gen/openapi-3.1.json
var Contract embed.FS
