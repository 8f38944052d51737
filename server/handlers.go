package server

import (
	"fmt"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/store"
)

// handlers implements the contract, one file per tag. A handler maps, calls the store and maps; failures are Go errors.
type handlers struct{ store *store.Store }

var _ gen.StrictServerInterface = (*handlers)(nil)

// location is the path of a new object, from the words and ids that make it up.
func location(parts ...any) string {
	path := basePath
	for _, part := range parts {
		path += fmt.Sprintf("/%v", part)
	}
	return path
}

// text is an optional parameter where absent and empty mean the same.
func text(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}
