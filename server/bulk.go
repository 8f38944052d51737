package server

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/store"
)

// AddFavorites implements addFavorites.
func (h *handlers) AddFavorites(ctx context.Context, r gen.AddFavoritesRequestObject) (gen.AddFavoritesResponseObject, error) {
	result, err := h.setApps(ctx, r.ClientID, r.Body, store.ColumnIsFavorite, true)
	if err != nil {
		return nil, err
	}
	return gen.AddFavorites200JSONResponse{BulkResultJSONResponse: result}, nil
}

// RemoveFavorites implements removeFavorites.
func (h *handlers) RemoveFavorites(ctx context.Context, r gen.RemoveFavoritesRequestObject) (gen.RemoveFavoritesResponseObject, error) {
	result, err := h.setApps(ctx, r.ClientID, r.Body, store.ColumnIsFavorite, false)
	if err != nil {
		return nil, err
	}
	return gen.RemoveFavorites200JSONResponse{BulkResultJSONResponse: result}, nil
}

// ApproveApps implements approveApps.
func (h *handlers) ApproveApps(ctx context.Context, r gen.ApproveAppsRequestObject) (gen.ApproveAppsResponseObject, error) {
	result, err := h.setApps(ctx, r.ClientID, r.Body, store.ColumnIsApproved, true)
	if err != nil {
		return nil, err
	}
	return gen.ApproveApps200JSONResponse{BulkResultJSONResponse: result}, nil
}

// RejectApps implements rejectApps.
func (h *handlers) RejectApps(ctx context.Context, r gen.RejectAppsRequestObject) (gen.RejectAppsResponseObject, error) {
	result, err := h.setApps(ctx, r.ClientID, r.Body, store.ColumnIsApproved, false)
	if err != nil {
		return nil, err
	}
	return gen.RejectApps200JSONResponse{BulkResultJSONResponse: result}, nil
}

// RemoveAppApprovals implements removeAppApprovals, the older spelling of rejectApps.
func (h *handlers) RemoveAppApprovals(ctx context.Context, r gen.RemoveAppApprovalsRequestObject) (gen.RemoveAppApprovalsResponseObject, error) {
	result, err := h.setApps(ctx, r.ClientID, r.Body, store.ColumnIsApproved, false)
	if err != nil {
		return nil, err
	}
	return gen.RemoveAppApprovals200JSONResponse{
		DeprecatedBulkResultJSONResponse: gen.DeprecatedBulkResultJSONResponse{Body: result.Body},
	}, nil
}

// setApps returns results in the order of the request; a repeated id counts once.
func (h *handlers) setApps(ctx context.Context, clientID uuid.UUID, body *gen.AppIDs, column store.Column, value bool) (gen.BulkResultJSONResponse, error) {
	seen := map[uuid.UUID]bool{}
	var ids []uuid.UUID
	for _, id := range body.AppIds {
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	missing, err := h.store.BulkSet(ctx, clientID, ids, column, value, actor(ctx))
	if err != nil {
		return gen.BulkResultJSONResponse{}, err
	}
	result := gen.BulkResult{Succeeded: []gen.UUID{}, Failed: []gen.BulkFailure{}}
	for _, id := range ids {
		if slices.Contains(missing, id) {
			result.Failed = append(result.Failed, gen.BulkFailure{ID: id, Error: "App not found"})
		} else {
			result.Succeeded = append(result.Succeeded, id)
		}
	}
	return gen.BulkResultJSONResponse{Body: result}, nil
}
