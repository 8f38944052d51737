package server

import (
	"context"
	"net/http"

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
