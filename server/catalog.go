package server

import (
	"context"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server/conditional"
	"github.com/clientapps/clientapps/store"
)

// ListCatalogApps implements listCatalogApps.
func (h *handlers) ListCatalogApps(ctx context.Context, r gen.ListCatalogAppsRequestObject) (gen.ListCatalogAppsResponseObject, error) {
	p := r.Params
	page, err := pageParams[gen.ListCatalogAppsParamsSortBy, gen.ListCatalogAppsParamsSortOrder]{
		p.PageSize, p.Cursor, p.SortBy, p.SortOrder,
	}.page(ctx, store.ColumnCanonicalName)
	if err != nil {
		return nil, err
	}
	filter := store.CatalogFilter{Query: text(p.Q), CategoryID: p.CategoryID, VendorID: p.VendorID, Type: p.Type}
	list, err := h.store.ListCatalogApps(ctx, filter, page)
	if err != nil {
		return nil, err
	}
	cursor, link := nextPage(ctx, list.Next)
	return gen.ListCatalogApps200JSONResponse{CatalogAppListJSONResponse: gen.CatalogAppListJSONResponse{
		Body:    gen.CatalogAppList{Data: mapped(list.Rows, toAPICatalogApp), TotalCount: list.Total, NextCursor: cursor},
		Headers: gen.CatalogAppListResponseHeaders{ETag: conditional.Weak(list.ETag), Link: link},
	}}, nil
}

// GetCatalogApp implements getCatalogApp.
func (h *handlers) GetCatalogApp(ctx context.Context, r gen.GetCatalogAppRequestObject) (gen.GetCatalogAppResponseObject, error) {
	app, err := h.store.GetCatalogApp(ctx, r.CatalogAppID)
	if err != nil {
		return nil, err
	}
	return gen.GetCatalogApp200JSONResponse{CatalogAppJSONResponse: catalogAppResponse(app)}, nil
}

// GetCatalogSummary implements getCatalogSummary.
func (h *handlers) GetCatalogSummary(ctx context.Context, _ gen.GetCatalogSummaryRequestObject) (gen.GetCatalogSummaryResponseObject, error) {
	summary, err := h.store.GetCatalogSummary(ctx)
	if err != nil {
		return nil, err
	}
	return gen.GetCatalogSummary200JSONResponse{CatalogSummaryJSONResponse: gen.CatalogSummaryJSONResponse{
		Body:    toAPISummary(summary),
		Headers: gen.CatalogSummaryResponseHeaders{ETag: conditional.Strong(summary.ETag())},
	}}, nil
}

// CreateCatalogApp implements createCatalogApp.
func (h *handlers) CreateCatalogApp(ctx context.Context, r gen.CreateCatalogAppRequestObject) (gen.CreateCatalogAppResponseObject, error) {
	app, err := h.store.CreateCatalogApp(ctx, newCatalogAppFields(*r.Body), ids(r.Body.CategoryIds), actor(ctx))
	if err != nil {
		return nil, err
	}
	return gen.CreateCatalogApp201JSONResponse{CatalogAppCreatedJSONResponse: gen.CatalogAppCreatedJSONResponse{
		Body: toAPICatalogApp(app),
		Headers: gen.CatalogAppCreatedResponseHeaders{
			ETag: new(conditional.Strong(app.ETag())), Location: location("catalog-apps", app.ID),
		},
	}}, nil
}

// UpdateCatalogApp implements updateCatalogApp.
func (h *handlers) UpdateCatalogApp(ctx context.Context, r gen.UpdateCatalogAppRequestObject) (gen.UpdateCatalogAppResponseObject, error) {
	body := *r.JSONBody
	app, err := h.store.UpdateCatalogApp(ctx, r.CatalogAppID, catalogAppFields(body), body.CategoryIds, actor(ctx), conditions(r.Params.IfMatch, r.Params.IfNoneMatch))
	if err != nil {
		return nil, err
	}
	return gen.UpdateCatalogApp200JSONResponse{CatalogAppJSONResponse: catalogAppResponse(app)}, nil
}

// DeleteCatalogApp implements deleteCatalogApp.
func (h *handlers) DeleteCatalogApp(ctx context.Context, r gen.DeleteCatalogAppRequestObject) (gen.DeleteCatalogAppResponseObject, error) {
	if err := h.store.DeleteCatalogApp(ctx, r.CatalogAppID, actor(ctx), conditions(r.Params.IfMatch, r.Params.IfNoneMatch)); err != nil {
		return nil, err
	}
	return gen.DeleteCatalogApp204Response{}, nil
}

func catalogAppResponse(app *store.CatalogApp) gen.CatalogAppJSONResponse {
	return gen.CatalogAppJSONResponse{
		Body: toAPICatalogApp(app), Headers: gen.CatalogAppResponseHeaders{ETag: conditional.Strong(app.ETag())},
	}
}
