package server

import (
	"fmt"
	"log/slog"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server/conditional"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/webhook"
)

// handlers implements the contract, one file for each tag. A handler converts the request, calls the store and converts the
// result; errors are Go errors.
type handlers struct {
	store *store.Store
	log   *slog.Logger // changes of tokens and webhooks

	streams  streamSettings
	webhooks *webhook.Worker
}

var _ gen.StrictServerInterface = (*handlers)(nil)

// conditions parses If-Match and If-None-Match of a write. It returns nil if there is no condition: no header, or If-Match: *,
// which every existing object matches.
func conditions(ifMatch, ifNoneMatch *string) *store.IfMatch {
	anyTag := ifMatch == nil || *ifMatch == "*"
	if anyTag && ifNoneMatch == nil {
		return nil // most writes: allocates nothing
	}
	match := store.IfMatch{Any: anyTag}
	if !match.Any {
		match.Tags = conditional.ParseIfMatch(*ifMatch)
	}
	if ifNoneMatch != nil {
		match.MustNotExist = *ifNoneMatch == "*"
		match.NoneOf = conditional.ParseIfNoneMatch(*ifNoneMatch)
	}
	return &match
}

// location returns the path of a new object.
func location(parts ...any) string {
	path := basePath
	for _, part := range parts {
		path += fmt.Sprintf("/%v", part)
	}
	return path
}

// idOr returns an optional id, or the other one.
func idOr(p *gen.UUID, other gen.UUID) gen.UUID {
	if p == nil {
		return other
	}
	return *p
}

// text returns an optional parameter, for which absent and empty mean the same.
func text(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

// isTrue returns an optional parameter, for which absent and false mean the same.
func isTrue(p *bool) bool { return p != nil && *p }
