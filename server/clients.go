package server

import (
	"context"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server/conditional"
	"github.com/clientapps/clientapps/store"
)

// ListClients implements listClients.
func (h *handlers) ListClients(ctx context.Context, r gen.ListClientsRequestObject) (gen.ListClientsResponseObject, error) {
	p := r.Params
	page, err := pageParams[gen.ListClientsParamsSortBy, gen.ListClientsParamsSortOrder]{
		p.PageSize, p.Cursor, p.SortBy, p.SortOrder,
	}.page(ctx, store.ColumnName)
	if err != nil {
		return nil, err
	}
	list, err := h.store.ListClients(ctx, requestStateOf(ctx).token, text(p.Q), page)
	if err != nil {
		return nil, err
	}
	cursor, link := nextPage(ctx, list.Next)
	return gen.ListClients200JSONResponse{ClientListJSONResponse: gen.ClientListJSONResponse{
		Body:    gen.ClientList{Data: mapped(list.Rows, toAPIClient), TotalCount: list.Total, NextCursor: cursor},
		Headers: gen.ClientListResponseHeaders{Link: link},
	}}, nil
}

// GetClient implements getClient.
func (h *handlers) GetClient(ctx context.Context, r gen.GetClientRequestObject) (gen.GetClientResponseObject, error) {
	client, err := h.store.GetClient(ctx, r.ClientID)
	if err != nil {
		return nil, err
	}
	return gen.GetClient200JSONResponse{ClientOrganizationJSONResponse: clientResponse(client)}, nil
}

// CreateClient implements createClient.
func (h *handlers) CreateClient(ctx context.Context, r gen.CreateClientRequestObject) (gen.CreateClientResponseObject, error) {
	client, err := h.store.CreateClient(ctx, idOr(r.Body.ID, uuid.New()), r.Body.Name, actor(ctx))
	if err != nil {
		return nil, err
	}
	return gen.CreateClient201JSONResponse{ClientCreatedJSONResponse: gen.ClientCreatedJSONResponse{
		Body: toAPIClient(client),
		Headers: gen.ClientCreatedResponseHeaders{
			ETag: new(conditional.Strong(client.ETag())), Location: location("clients", client.ID),
		},
	}}, nil
}

// UpdateClient implements updateClient.
func (h *handlers) UpdateClient(ctx context.Context, r gen.UpdateClientRequestObject) (gen.UpdateClientResponseObject, error) {
	client, err := h.store.UpdateClient(ctx, r.ClientID, clientFields(*r.JSONBody), actor(ctx), conditions(r.Params.IfMatch, r.Params.IfNoneMatch))
	if err != nil {
		return nil, err
	}
	return gen.UpdateClient200JSONResponse{ClientOrganizationJSONResponse: clientResponse(client)}, nil
}

// deletionRetryAfter is Retry-After, in seconds, while a client is being deleted.
const deletionRetryAfter = 2

// DeleteClient implements deleteClient.
func (h *handlers) DeleteClient(ctx context.Context, r gen.DeleteClientRequestObject) (gen.DeleteClientResponseObject, error) {
	deleted, err := h.store.DeleteClient(ctx, r.ClientID, actor(ctx), conditions(r.Params.IfMatch, r.Params.IfNoneMatch))
	if err != nil {
		return nil, err
	}
	if !deleted {
		return gen.DeleteClient202Response{Headers: gen.ClientDeletingResponseHeaders{RetryAfter: deletionRetryAfter}}, nil
	}
	return gen.DeleteClient204Response{}, nil
}

func clientResponse(client store.Client) gen.ClientOrganizationJSONResponse {
	return gen.ClientOrganizationJSONResponse{
		Body: toAPIClient(client), Headers: gen.ClientOrganizationResponseHeaders{ETag: conditional.Strong(client.ETag())},
	}
}
