package server

import (
	"context"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server/conditional"
	"github.com/clientapps/clientapps/store"
)

// ListURLPatterns implements listUrlPatterns.
func (h *handlers) ListURLPatterns(ctx context.Context, r gen.ListURLPatternsRequestObject) (gen.ListURLPatternsResponseObject, error) {
	p := r.Params
	page, err := pageParams[gen.ListURLPatternsParamsSortBy, gen.ListURLPatternsParamsSortOrder]{
		p.PageSize, p.Cursor, p.SortBy, p.SortOrder,
	}.page(ctx, store.ColumnPattern)
	if err != nil {
		return nil, err
	}
	list, err := h.store.ListURLPatterns(ctx, r.CatalogAppID, text(p.Q), page)
	if err != nil {
		return nil, err
	}
	cursor, link := nextPage(ctx, list.Next)
	return gen.ListURLPatterns200JSONResponse{URLPatternListJSONResponse: gen.URLPatternListJSONResponse{
		Body:    gen.URLPatternList{Data: mapped(list.Rows, toAPIPattern), TotalCount: list.Total, NextCursor: cursor},
		Headers: gen.URLPatternListResponseHeaders{ETag: conditional.Strong(list.ETag), Link: link},
	}}, nil
}

// ReplaceURLPatterns implements replaceUrlPatterns.
func (h *handlers) ReplaceURLPatterns(ctx context.Context, r gen.ReplaceURLPatternsRequestObject) (gen.ReplaceURLPatternsResponseObject, error) {
	if err := h.store.ReplaceURLPatterns(ctx, r.CatalogAppID, r.Body.Patterns, actor(ctx), conditions(r.Params.IfMatch, r.Params.IfNoneMatch)); err != nil {
		return nil, err
	}
	return gen.ReplaceURLPatterns204Response{}, nil
}

// ListDesktopAliases implements listDesktopAliases.
func (h *handlers) ListDesktopAliases(ctx context.Context, r gen.ListDesktopAliasesRequestObject) (gen.ListDesktopAliasesResponseObject, error) {
	p := r.Params
	page, err := pageParams[gen.ListDesktopAliasesParamsSortBy, gen.ListDesktopAliasesParamsSortOrder]{
		p.PageSize, p.Cursor, p.SortBy, p.SortOrder,
	}.page(ctx, store.ColumnAlias)
	if err != nil {
		return nil, err
	}
	list, err := h.store.ListDesktopAliases(ctx, r.CatalogAppID, text(p.Q), page)
	if err != nil {
		return nil, err
	}
	cursor, link := nextPage(ctx, list.Next)
	return gen.ListDesktopAliases200JSONResponse{DesktopAliasListJSONResponse: gen.DesktopAliasListJSONResponse{
		Body:    gen.DesktopAliasList{Data: mapped(list.Rows, toAPIAlias), TotalCount: list.Total, NextCursor: cursor},
		Headers: gen.DesktopAliasListResponseHeaders{ETag: conditional.Strong(list.ETag), Link: link},
	}}, nil
}

// ReplaceDesktopAliases implements replaceDesktopAliases.
func (h *handlers) ReplaceDesktopAliases(ctx context.Context, r gen.ReplaceDesktopAliasesRequestObject) (gen.ReplaceDesktopAliasesResponseObject, error) {
	if err := h.store.ReplaceDesktopAliases(ctx, r.CatalogAppID, r.Body.Aliases, actor(ctx), conditions(r.Params.IfMatch, r.Params.IfNoneMatch)); err != nil {
		return nil, err
	}
	return gen.ReplaceDesktopAliases204Response{}, nil
}
