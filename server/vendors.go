package server

import (
	"context"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server/conditional"
	"github.com/clientapps/clientapps/store"
)

// ListCatalogVendors implements listCatalogVendors.
func (h *handlers) ListCatalogVendors(ctx context.Context, r gen.ListCatalogVendorsRequestObject) (gen.ListCatalogVendorsResponseObject, error) {
	p := r.Params
	page, err := pageParams[gen.ListCatalogVendorsParamsSortBy, gen.ListCatalogVendorsParamsSortOrder]{
		p.PageSize, p.Cursor, p.SortBy, p.SortOrder,
	}.page(ctx, store.ColumnName)
	if err != nil {
		return nil, err
	}
	list, err := h.store.ListVendors(ctx, text(p.Q), page)
	if err != nil {
		return nil, err
	}
	cursor, link := nextPage(ctx, list.Next)
	return gen.ListCatalogVendors200JSONResponse{CatalogVendorListJSONResponse: gen.CatalogVendorListJSONResponse{
		Body:    gen.CatalogVendorList{Data: mapped(list.Rows, toAPIVendor), TotalCount: list.Total, NextCursor: cursor},
		Headers: gen.CatalogVendorListResponseHeaders{ETag: conditional.Weak(list.ETag), Link: link},
	}}, nil
}

// CreateCatalogVendor implements createCatalogVendor.
func (h *handlers) CreateCatalogVendor(ctx context.Context, r gen.CreateCatalogVendorRequestObject) (gen.CreateCatalogVendorResponseObject, error) {
	vendor, err := h.store.CreateVendor(ctx, newVendorFields(*r.Body), actor(ctx))
	if err != nil {
		return nil, err
	}
	return gen.CreateCatalogVendor201JSONResponse{CatalogVendorCreatedJSONResponse: gen.CatalogVendorCreatedJSONResponse{
		Body: toAPIVendor(vendor),
		Headers: gen.CatalogVendorCreatedResponseHeaders{
			ETag: conditional.Strong(vendor.ETag()), Location: location("catalog-vendors", vendor.ID),
		},
	}}, nil
}

// UpdateCatalogVendor implements updateCatalogVendor.
func (h *handlers) UpdateCatalogVendor(ctx context.Context, r gen.UpdateCatalogVendorRequestObject) (gen.UpdateCatalogVendorResponseObject, error) {
	vendor, err := h.store.UpdateVendor(ctx, r.VendorID, vendorFields(*r.JSONBody), actor(ctx), conditions(r.Params.IfMatch, r.Params.IfNoneMatch))
	if err != nil {
		return nil, err
	}
	return gen.UpdateCatalogVendor200JSONResponse{CatalogVendorJSONResponse: gen.CatalogVendorJSONResponse{
		Body: toAPIVendor(vendor), Headers: gen.CatalogVendorResponseHeaders{ETag: conditional.Strong(vendor.ETag())},
	}}, nil
}

// DeleteCatalogVendor implements deleteCatalogVendor.
func (h *handlers) DeleteCatalogVendor(ctx context.Context, r gen.DeleteCatalogVendorRequestObject) (gen.DeleteCatalogVendorResponseObject, error) {
	if err := h.store.DeleteVendor(ctx, r.VendorID, actor(ctx), conditions(r.Params.IfMatch, r.Params.IfNoneMatch)); err != nil {
		return nil, err
	}
	return gen.DeleteCatalogVendor204Response{}, nil
}
