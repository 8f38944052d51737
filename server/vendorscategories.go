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
			ETag: new(conditional.Strong(vendor.ETag())), Location: location("catalog-vendors", vendor.ID),
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

// ListCatalogCategories implements listCatalogCategories.
func (h *handlers) ListCatalogCategories(ctx context.Context, r gen.ListCatalogCategoriesRequestObject) (gen.ListCatalogCategoriesResponseObject, error) {
	p := r.Params
	page, err := pageParams[gen.ListCatalogCategoriesParamsSortBy, gen.ListCatalogCategoriesParamsSortOrder]{
		p.PageSize, p.Cursor, p.SortBy, p.SortOrder,
	}.page(ctx, store.ColumnName)
	if err != nil {
		return nil, err
	}
	list, err := h.store.ListCategories(ctx, text(p.Q), page)
	if err != nil {
		return nil, err
	}
	cursor, link := nextPage(ctx, list.Next)
	return gen.ListCatalogCategories200JSONResponse{CatalogCategoryListJSONResponse: gen.CatalogCategoryListJSONResponse{
		Body:    gen.CatalogCategoryList{Data: mapped(list.Rows, toAPICategory), TotalCount: list.Total, NextCursor: cursor},
		Headers: gen.CatalogCategoryListResponseHeaders{ETag: conditional.Weak(list.ETag), Link: link},
	}}, nil
}

// CreateCatalogCategory implements createCatalogCategory.
func (h *handlers) CreateCatalogCategory(ctx context.Context, r gen.CreateCatalogCategoryRequestObject) (gen.CreateCatalogCategoryResponseObject, error) {
	category, err := h.store.CreateCategory(ctx, newCategoryFields(*r.Body), actor(ctx))
	if err != nil {
		return nil, err
	}
	return gen.CreateCatalogCategory201JSONResponse{CatalogCategoryCreatedJSONResponse: gen.CatalogCategoryCreatedJSONResponse{
		Body: toAPICategory(category),
		Headers: gen.CatalogCategoryCreatedResponseHeaders{
			ETag: new(conditional.Strong(category.ETag())), Location: location("catalog-categories", category.ID),
		},
	}}, nil
}

// UpdateCatalogCategory implements updateCatalogCategory.
func (h *handlers) UpdateCatalogCategory(ctx context.Context, r gen.UpdateCatalogCategoryRequestObject) (gen.UpdateCatalogCategoryResponseObject, error) {
	category, err := h.store.UpdateCategory(ctx, r.CategoryID, categoryFields(*r.JSONBody), actor(ctx), conditions(r.Params.IfMatch, r.Params.IfNoneMatch))
	if err != nil {
		return nil, err
	}
	return gen.UpdateCatalogCategory200JSONResponse{CatalogCategoryJSONResponse: gen.CatalogCategoryJSONResponse{
		Body: toAPICategory(category), Headers: gen.CatalogCategoryResponseHeaders{ETag: conditional.Strong(category.ETag())},
	}}, nil
}

// DeleteCatalogCategory implements deleteCatalogCategory.
func (h *handlers) DeleteCatalogCategory(ctx context.Context, r gen.DeleteCatalogCategoryRequestObject) (gen.DeleteCatalogCategoryResponseObject, error) {
	if err := h.store.DeleteCategory(ctx, r.CategoryID, actor(ctx), conditions(r.Params.IfMatch, r.Params.IfNoneMatch)); err != nil {
		return nil, err
	}
	return gen.DeleteCatalogCategory204Response{}, nil
}
