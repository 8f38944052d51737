package server

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/apitoken"
)

// ListTokens implements listTokens.
func (h *handlers) ListTokens(ctx context.Context, r gen.ListTokensRequestObject) (gen.ListTokensResponseObject, error) {
	p := r.Params
	page, err := pageParams[gen.ListTokensParamsSortBy, gen.ListTokensParamsSortOrder]{
		p.PageSize, p.Cursor, p.SortBy, p.SortOrder,
	}.page(ctx, store.ColumnCreatedAt)
	if err != nil {
		return nil, err
	}
	list, err := h.store.ListTokens(ctx, requestStateOf(ctx).token, page)
	if err != nil {
		return nil, err
	}
	cursor, link := nextPage(ctx, list.Next)
	return gen.ListTokens200JSONResponse{TokenListJSONResponse: gen.TokenListJSONResponse{
		Body:    gen.TokenList{Data: mapped(list.Rows, toAPIToken), TotalCount: list.Total, NextCursor: cursor},
		Headers: gen.TokenListResponseHeaders{Link: link},
	}}, nil
}

// GetToken implements getToken.
func (h *handlers) GetToken(ctx context.Context, r gen.GetTokenRequestObject) (gen.GetTokenResponseObject, error) {
	token, err := h.store.GetToken(ctx, requestStateOf(ctx).token, r.TokenID)
	if err != nil {
		return nil, err
	}
	return gen.GetToken200JSONResponse{TokenJSONResponse: gen.TokenJSONResponse{Body: toAPIToken(token)}}, nil
}

// CreateToken implements createToken.
func (h *handlers) CreateToken(ctx context.Context, r gen.CreateTokenRequestObject) (gen.CreateTokenResponseObject, error) {
	token, err := newToken(*r.Body)
	if err != nil {
		return nil, err
	}
	secret, err := apitoken.New()
	if err != nil {
		return nil, err
	}
	token, err = h.store.CreateToken(ctx, requestStateOf(ctx).token, secret, token)
	if err != nil {
		return nil, err
	}
	h.logToken(ctx, "token created", token)
	return gen.CreateToken201JSONResponse{TokenCreatedJSONResponse: gen.TokenCreatedJSONResponse{
		Body:    toAPITokenWithSecret(token, secret),
		Headers: gen.TokenCreatedResponseHeaders{Location: location("tokens", token.ID)},
	}}, nil
}

// RotateToken implements rotateToken.
func (h *handlers) RotateToken(ctx context.Context, r gen.RotateTokenRequestObject) (gen.RotateTokenResponseObject, error) {
	secret, err := apitoken.New()
	if err != nil {
		return nil, err
	}
	token, err := h.store.RotateToken(ctx, requestStateOf(ctx).token, r.TokenID, secret, overlap(r.Body))
	if err != nil {
		return nil, err
	}
	h.logToken(ctx, "token rotated", token)
	return gen.RotateToken200JSONResponse{TokenRotatedJSONResponse: gen.TokenRotatedJSONResponse{
		Body: toAPITokenWithSecret(token, secret),
	}}, nil
}

// RevokeToken implements revokeToken.
func (h *handlers) RevokeToken(ctx context.Context, r gen.RevokeTokenRequestObject) (gen.RevokeTokenResponseObject, error) {
	keep := r.Params.KeepCreated != nil && *r.Params.KeepCreated
	revoked, err := h.store.RevokeToken(ctx, requestStateOf(ctx).token, r.TokenID, keep)
	if err != nil {
		return nil, err
	}
	for _, token := range revoked {
		h.logToken(ctx, "token revoked", token)
	}
	return gen.RevokeToken204Response{}, nil
}

// logToken logs a change of a token with its actor.
func (h *handlers) logToken(ctx context.Context, change string, token store.Token) {
	by := actor(ctx)
	h.log.InfoContext(ctx, change, "token", token,
		slog.Group("actor", "id", by.ID.String(), "name", by.Name), "request_id", by.RequestID)
}

// newToken returns the token that a body describes. It checks the rules that the schema cannot express.
func newToken(b gen.TokenCreate) (store.Token, error) {
	token := store.Token{Name: b.Name, AllClients: b.AllClients != nil && *b.AllClients, ClientIDs: ids(b.ClientIds)}
	if token.AllClients == (b.ClientIds != nil) {
		field := "client_ids"
		return token, invalidRequest("either client_ids or an all_clients that is true is needed", &gen.ErrorDetails{Field: &field})
	}
	scopes := make([]string, len(b.Scopes))
	for i, scope := range b.Scopes {
		scopes[i] = string(scope)
	}
	slices.Sort(scopes)
	token.Scopes = strings.Join(scopes, " ")
	if b.ExpiresAt == nil {
		return token, nil
	}
	expires, err := time.Parse(time.RFC3339, *b.ExpiresAt)
	if err != nil || expires.UTC().Year() > 9999 {
		return token, errNotFuture("expires_at")
	}
	expires = expires.UTC().Truncate(time.Millisecond)
	token.ExpiresAt = &expires
	return token, nil
}

// overlap returns how long the old secret of a rotated token stays valid.
func overlap(b *gen.TokenRotate) time.Duration {
	if b == nil || b.OverlapSeconds == nil {
		return 0
	}
	return time.Duration(*b.OverlapSeconds) * time.Second
}
