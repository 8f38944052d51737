package server

import (
	"fmt"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server/conditional"
	"github.com/clientapps/clientapps/store"
)

// handlers implements the contract, one file per tag. A handler maps, calls the store and maps; failures are Go errors.
type handlers struct{ store *store.Store }

var _ gen.StrictServerInterface = (*handlers)(nil)

// conditions reads If-Match and If-None-Match of a write. It returns nil for no condition: no header, or If-Match: *, which every
// existing object matches.
func conditions(ifMatch, ifNoneMatch *string) *store.IfMatch {
	anyTag := ifMatch == nil || *ifMatch == "*"
	if anyTag && ifNoneMatch == nil {
		return nil // most writes: nothing is allocated
	}
	match := store.IfMatch{Any: anyTag}
	if !match.Any {
		match.Tags = conditional.OfIfMatch(*ifMatch)
	}
	if ifNoneMatch != nil {
		match.Never = *ifNoneMatch == "*"
		match.Except = conditional.OfIfNoneMatch(*ifNoneMatch)
	}
	return &match
}

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
