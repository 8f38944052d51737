package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/store"
)

// ListApps implements listApps.
func (h *handlers) ListApps(ctx context.Context, r gen.ListAppsRequestObject) (gen.ListAppsResponseObject, error) {
	p := r.Params
	page, err := pageParams[gen.ListAppsParamsSortBy, gen.ListAppsParamsSortOrder]{
		p.PageSize, p.Cursor, p.SortBy, p.SortOrder,
	}.page(ctx, store.ColumnCanonicalName)
	if err != nil {
		return nil, err
	}
	list, err := h.store.ListApps(ctx, r.ClientID, store.AppFilter{
		Query: text(p.Q), CategoryID: p.CategoryID, VendorID: p.VendorID, Type: p.Type,
		IsFavorite: p.IsFavorite, IsApproved: p.IsApproved,
	}, page)
	if err != nil {
		return nil, err
	}
	cursor, link := nextPage(ctx, list.Next)
	return appListBody{list: list, cursor: cursor, link: link}, nil
}

// GetApp implements getApp.
func (h *handlers) GetApp(ctx context.Context, r gen.GetAppRequestObject) (gen.GetAppResponseObject, error) {
	app, err := h.store.GetApp(ctx, store.AppKey{ClientID: r.ClientID, ID: r.AppID})
	if err != nil {
		return nil, err
	}
	return appBody{app: app, status: http.StatusOK}, nil
}

// UpdateApp implements updateApp.
func (h *handlers) UpdateApp(ctx context.Context, r gen.UpdateAppRequestObject) (gen.UpdateAppResponseObject, error) {
	key := store.AppKey{ClientID: r.ClientID, ID: r.AppID}
	app, err := h.store.UpdateApp(ctx, key, appFields(*r.JSONBody), actor(ctx), conditions(r.Params.IfMatch, r.Params.IfNoneMatch))
	if err != nil {
		return nil, err
	}
	return appBody{app: app, status: http.StatusOK}, nil
}

// AddApp implements addApp.
func (h *handlers) AddApp(ctx context.Context, r gen.AddAppRequestObject) (gen.AddAppResponseObject, error) {
	app, err := h.store.AddApp(ctx, r.ClientID, r.Body.CatalogAppID, newAppFields(*r.Body), actor(ctx))
	if err != nil {
		return nil, err
	}
	return appBody{app: app, status: http.StatusCreated, location: location("clients", r.ClientID, "apps", app.ID)}, nil
}

// RemoveApp implements removeApp.
func (h *handlers) RemoveApp(ctx context.Context, r gen.RemoveAppRequestObject) (gen.RemoveAppResponseObject, error) {
	key := store.AppKey{ClientID: r.ClientID, ID: r.AppID}
	if err := h.store.RemoveApp(ctx, key, actor(ctx), conditions(r.Params.IfMatch, r.Params.IfNoneMatch)); err != nil {
		return nil, err
	}
	return gen.RemoveApp204Response{}, nil
}

// ListAppChanges implements listAppChanges.
func (h *handlers) ListAppChanges(ctx context.Context, r gen.ListAppChangesRequestObject) (gen.ListAppChangesResponseObject, error) {
	page, err := pageParams[string, string]{size: r.Params.PageSize, cursor: r.Params.Cursor}.page(ctx, store.ColumnVersion)
	if err != nil {
		return nil, err
	}
	list, err := h.store.ListAppChanges(ctx, store.AppKey{ClientID: r.ClientID, ID: r.AppID}, page)
	if err != nil {
		return nil, err
	}
	cursor, link := nextPage(ctx, list.Next)
	return gen.ListAppChanges200JSONResponse{AppChangeListJSONResponse: gen.AppChangeListJSONResponse{
		Body:    gen.AppChangeList{Data: mapped(list.Rows, toAPIChange), TotalCount: list.Total, NextCursor: cursor},
		Headers: gen.AppChangeListResponseHeaders{Link: link},
	}}, nil
}

// AddFavorites implements addFavorites.
func (h *handlers) AddFavorites(ctx context.Context, r gen.AddFavoritesRequestObject) (gen.AddFavoritesResponseObject, error) {
	return h.setApps(ctx, r.ClientID, r.Body, store.ColumnIsFavorite, true)
}

// RemoveFavorites implements removeFavorites.
func (h *handlers) RemoveFavorites(ctx context.Context, r gen.RemoveFavoritesRequestObject) (gen.RemoveFavoritesResponseObject, error) {
	return h.setApps(ctx, r.ClientID, r.Body, store.ColumnIsFavorite, false)
}

// ApproveApps implements approveApps.
func (h *handlers) ApproveApps(ctx context.Context, r gen.ApproveAppsRequestObject) (gen.ApproveAppsResponseObject, error) {
	return h.setApps(ctx, r.ClientID, r.Body, store.ColumnIsApproved, true)
}

// RejectApps implements rejectApps.
func (h *handlers) RejectApps(ctx context.Context, r gen.RejectAppsRequestObject) (gen.RejectAppsResponseObject, error) {
	return h.setApps(ctx, r.ClientID, r.Body, store.ColumnIsApproved, false)
}

// RemoveAppApprovals implements removeAppApprovals, the older spelling of rejectApps.
func (h *handlers) RemoveAppApprovals(ctx context.Context, r gen.RemoveAppApprovalsRequestObject) (gen.RemoveAppApprovalsResponseObject, error) {
	return h.setApps(ctx, r.ClientID, r.Body, store.ColumnIsApproved, false)
}

// setApps sets one boolean of several apps; a repeated id counts once.
func (h *handlers) setApps(ctx context.Context, clientID uuid.UUID, body *gen.AppIDs, column store.Column, value bool) (bulkBody, error) {
	fields := store.Fields{column: value}
	seen := make(map[uuid.UUID]bool, len(body.AppIds))
	updates := make([]store.AppUpdate, 0, len(body.AppIds))
	for _, id := range body.AppIds {
		if !seen[id] {
			seen[id] = true
			updates = append(updates, store.AppUpdate{ID: id, Fields: fields})
		}
	}
	outcomes, err := h.store.UpdateApps(ctx, clientID, updates, false, actor(ctx))
	return bulkBody{updates, outcomes}, err
}

// UpdateApps implements updateApps.
func (h *handlers) UpdateApps(ctx context.Context, r gen.UpdateAppsRequestObject) (gen.UpdateAppsResponseObject, error) {
	seen := make(map[uuid.UUID]bool, len(r.Body.Updates))
	updates := make([]store.AppUpdate, len(r.Body.Updates))
	for i, u := range r.Body.Updates {
		if seen[u.ID] {
			return nil, errRepeatedUpdate(i)
		}
		seen[u.ID] = true
		fields := appFields(gen.AppPatch{IsFavorite: u.IsFavorite, IsApproved: u.IsApproved, LicenseCount: u.LicenseCount})
		updates[i] = store.AppUpdate{ID: u.ID, Fields: fields, Match: conditions(u.IfMatch, nil)}
	}
	outcomes, err := h.store.UpdateApps(ctx, r.ClientID, updates, isTrue(r.Params.Atomic), actor(ctx))
	return bulkBody{updates, outcomes}, err
}

func errRepeatedUpdate(i int) *Error {
	field := "id"
	message := fmt.Sprintf("updates[%d].id is that of an earlier update", i)
	return invalidRequest(message, &gen.ErrorDetails{
		Field:  &field,
		Errors: &[]gen.FieldError{{Field: field, Pointer: fmt.Sprintf("/updates/%d/id", i), Message: message}},
	})
}

// bulkFailure returns the entry of a failed update in the response.
func bulkFailure(id gen.UUID, outcome error) gen.BulkFailure {
	failure := gen.BulkFailure{ID: id, Code: gen.BulkFailureCodeNotFound, Error: "App not found"}
	precondition := (*store.PreconditionError)(nil)
	switch {
	case errors.Is(outcome, store.ErrNotAttempted):
		failure.Code, failure.Error = gen.BulkFailureCodeNotAttempted, "Not attempted because another update failed"
	case errors.As(outcome, &precondition):
		failure.Code, failure.Error = gen.BulkFailureCodePreconditionFailed, "The app has changed since the entity tag in if_match"
	}
	return failure
}
