// Package clientapps embeds the contract in the forms that a server publishes.
package clientapps

import "embed"

// Contract has openapi.yaml, which is written by hand, and the generated gen/openapi.json and gen/openapi-3.1.json.
//
//go:embed openapi.yaml gen/openapi.json gen/openapi-3.1.json
var Contract embed.FS
