package server

import (
	"context"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server/conditional"
	"github.com/clientapps/clientapps/store"
)

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
			ETag: conditional.Strong(category.ETag()), Location: location("catalog-categories", category.ID),
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
