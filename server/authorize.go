package server

import (
	"slices"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
)

// Scopes returns every scope that an operation can require.
func Scopes() []string {
	return []string{
		"apps:read", "apps:write", "catalog:read", "catalog:write", "clients:read", "clients:write", "tokens:read", "tokens:write", "webhooks:read", "webhooks:write",
	}
}

// authorize refuses a token that lacks a scope of the operation, is of the wrong kind, or does not cover the client in the path. No token for some clients
// covers a malformed client id, so it gets 403; a token for all clients gets 400 from the validation later.
func (op *operation) authorize(token *store.Token, pathValue func(string) string) error {
	if slices.ContainsFunc(op.scopes, func(scope string) bool { return !token.HasScope(scope) }) || op.ownTokens && token.FromProvider {
		return errForbidden()
	}
	switch {
	case token.AllClients:
		return nil
	case op.allClients:
		return errForbidden()
	case !op.perClient:
		return nil
	}
	text := pathValue("client_id")
	id, err := uuid.Parse(text)
	if err != nil || len(text) != len(id.String()) || !token.Covers(id) { // uuid.Parse also accepts other spellings
		return errForbidden()
	}
	return nil
}
