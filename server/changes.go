package server

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/store"
)

const defaultFeedPageSize = 100

// ListChanges implements listChanges.
func (h *handlers) ListChanges(ctx context.Context, r gen.ListChangesRequestObject) (gen.ListChangesResponseObject, error) {
	p := r.Params
	from, err := feedStart(ctx, p.Cursor, p.Since)
	if err != nil {
		return nil, err
	}
	list, err := h.store.ListChanges(ctx, r.ClientID, changeFilter(nil, p.AppID, p.Field), from, feedPageSize(p.PageSize))
	if err != nil {
		return nil, err
	}
	return gen.ListChanges200JSONResponse{ChangeFeedJSONResponse: toAPIFeed(ctx, list)}, nil
}

// ListAllChanges implements listAllChanges.
func (h *handlers) ListAllChanges(ctx context.Context, r gen.ListAllChangesRequestObject) (gen.ListAllChangesResponseObject, error) {
	p, token := r.Params, requestStateOf(ctx).token
	if p.ClientID != nil && !token.Covers(*p.ClientID) {
		return nil, errForbidden()
	}
	from, err := feedStart(ctx, p.Cursor, p.Since)
	if err != nil {
		return nil, err
	}
	list, err := h.store.ListAllChanges(ctx, token, changeFilter(p.ClientID, p.AppID, p.Field), from, feedPageSize(p.PageSize))
	if err != nil {
		return nil, err
	}
	return gen.ListAllChanges200JSONResponse{ChangeFeedJSONResponse: toAPIFeed(ctx, list)}, nil
}

func toAPIFeed(ctx context.Context, list store.ChangeList) gen.ChangeFeedJSONResponse {
	return gen.ChangeFeedJSONResponse{Body: gen.ChangeFeed{
		Data: mapped(list.Rows, toAPIFeedChange), NextCursor: formatCursor(list.Next, requestStateOf(ctx).feedScope()), HasMore: list.More,
	}}
}

func changeFilter[F ~string](client, app *gen.UUID, field *F) store.ChangeFilter {
	f := store.ChangeFilter{ClientID: client, AppID: app}
	if field != nil {
		f.Field = string(*field)
	}
	return f
}

func feedPageSize(size *int32) int {
	if size == nil {
		return defaultFeedPageSize
	}
	return int(*size)
}

// feedStart reads the parameters that say where a feed begins.
func feedStart(ctx context.Context, cursor, since *string) (from store.ChangeStart, err error) {
	switch {
	case cursor != nil && since != nil:
		field := "since"
		return from, invalidRequest("cursor and since cannot be combined", &gen.ErrorDetails{Field: &field})
	case cursor != nil:
		after, ok := parseCursor(*cursor, requestStateOf(ctx).feedScope())
		if !ok {
			return from, errCursor()
		}
		from.After = &after
	case since != nil:
		at, err := time.Parse(time.RFC3339, *since)
		if err != nil {
			field := "since"
			return from, invalidRequest("since must be a timestamp", &gen.ErrorDetails{Field: &field})
		}
		from.Since = &at
	}
	return from, nil
}

// feedScope returns what the cursor of a feed is bound to: the client and the filters.
func (x *requestState) feedScope() string {
	query := x.url.Query()
	for name := range query {
		if !slices.Contains([]string{"client_id", "app_id", "field"}, name) {
			query.Del(name)
		}
	}
	return "changes\n" + strings.ToLower(x.url.Path+"\n"+query.Encode())
}
