package server

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server/eventstream"
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

// ListCatalogChanges implements listCatalogChanges.
func (h *handlers) ListCatalogChanges(ctx context.Context, r gen.ListCatalogChangesRequestObject) (gen.ListCatalogChangesResponseObject, error) {
	p := r.Params
	from, err := feedStart(ctx, p.Cursor, p.Since)
	if err != nil {
		return nil, err
	}
	list, err := h.store.ListCatalogChanges(ctx, from, feedPageSize(p.PageSize))
	if err != nil {
		return nil, err
	}
	return gen.ListCatalogChanges200JSONResponse{CatalogChangeFeedJSONResponse: gen.CatalogChangeFeedJSONResponse{Body: gen.CatalogChangeFeed{
		Data: mapped(list.Rows, toAPICatalogChange), NextCursor: formatCursor(list.Next, requestStateOf(ctx).feedScope()), HasMore: list.More,
	}}}, nil
}

func toAPIFeed(ctx context.Context, list store.ChangeList) gen.ChangeFeedJSONResponse {
	return gen.ChangeFeedJSONResponse{Body: gen.ChangeFeed{
		Data: mapped(list.Rows, toAPIFeedChange), NextCursor: formatCursor(list.Next, requestStateOf(ctx).feedScope()), HasMore: list.More,
	}}
}

func changeFilter[F ~string](client, app *gen.UUID, field *F) store.ChangeFilter {
	f := store.ChangeFilter{ClientID: client, AppID: app}
	if field != nil {
		f.Fields = []string{string(*field)}
	}
	return f
}

func feedPageSize(size *int32) int {
	if size == nil {
		return defaultFeedPageSize
	}
	return int(*size)
}

// feedStart returns where the feed of this request begins, from its parameters.
func feedStart(ctx context.Context, cursor, since *string) (store.ChangeStart, error) {
	return parseFeedStart(requestStateOf(ctx).feedScope(), cursor, since)
}

// parseFeedStart returns where a feed begins. The scope is what its cursors are bound to.
func parseFeedStart(scope string, cursor, since *string) (from store.ChangeStart, err error) {
	switch {
	case cursor != nil && since != nil:
		field := "since"
		return from, invalidRequest("cursor and since cannot be combined", &gen.ErrorDetails{Field: &field})
	case cursor != nil:
		after, ok := parseCursor(*cursor, scope)
		if !ok {
			return from, errCursor("cursor")
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

// feedScope returns what the cursors of the requested feed are bound to: the client and the filters.
func (state *requestState) feedScope() string {
	query := state.url.Query()
	for name := range query {
		if !slices.Contains([]string{"client_id", "app_id", "field"}, name) {
			query.Del(name)
		}
	}
	path := strings.TrimSuffix(state.url.Path, "/stream") // a stream has the cursors of its list
	return feedScope(path, query)
}

func feedScope(path string, filters url.Values) string {
	return "changes\n" + strings.ToLower(path) + "\n" + strings.ToLower(filters.Encode())
}

const (
	streamPageSize      = 100              // changes that are read for a stream at once
	streamWriteTimeout  = 10 * time.Second // of each write of a stream or an export
	reauthorizeInterval = 5 * time.Second  // between two checks of the token
)

// StreamChanges implements streamChanges.
func (h *handlers) StreamChanges(ctx context.Context, r gen.StreamChangesRequestObject) (gen.StreamChangesResponseObject, error) {
	p := r.Params
	from, err := streamStart(ctx, p.LastEventID, p.Cursor, p.Since)
	if err != nil {
		return nil, err
	}
	return h.beginStream(ctx, h.store.FollowChanges(r.ClientID, changeFilter(nil, p.AppID, p.Field), from))
}

// StreamAllChanges implements streamAllChanges.
func (h *handlers) StreamAllChanges(ctx context.Context, r gen.StreamAllChangesRequestObject) (gen.StreamAllChangesResponseObject, error) {
	p, token := r.Params, requestStateOf(ctx).token
	if p.ClientID != nil && !token.Covers(*p.ClientID) {
		return nil, errForbidden()
	}
	from, err := streamStart(ctx, p.LastEventID, p.Cursor, p.Since)
	if err != nil {
		return nil, err
	}
	return h.beginStream(ctx, h.store.FollowAllChanges(token, changeFilter(p.ClientID, p.AppID, p.Field), from))
}

// streamStart is feedStart, but prefers Last-Event-ID, which a reader sends when it reconnects.
func streamStart(ctx context.Context, lastEventID, cursor, since *string) (store.ChangeStart, error) {
	if lastEventID != nil {
		after, ok := parseCursor(*lastEventID, requestStateOf(ctx).feedScope())
		if !ok {
			return store.ChangeStart{}, errCursor("Last-Event-ID")
		}
		return store.ChangeStart{After: &after}, nil
	}
	return feedStart(ctx, cursor, since)
}

// beginStream reads the first changes. An error here is still answered with an error response, since the stream has not begun.
func (h *handlers) beginStream(ctx context.Context, changes *store.ChangeStream) (*changeStream, error) {
	first, err := changes.Next(ctx, 0, streamPageSize)
	if err != nil {
		changes.Close()
		return nil, err
	}
	return &changeStream{ctx: ctx, settings: h.streams, state: requestStateOf(ctx), changes: changes, pending: first}, nil
}

// streamSettings are the settings that all streams of a server share.
type streamSettings struct {
	heartbeat time.Duration
	stopping  context.Context // done when the server shuts down
}

// changeStream is a stream of changes as a response. It ends when the reader disconnects, the token loses access, the client is
// deleted, or the server shuts down.
type changeStream struct {
	ctx      context.Context
	settings streamSettings
	state    *requestState
	changes  *store.ChangeStream
	pending  store.ChangeList // changes that were read but not written
}

// VisitStreamChangesResponse implements gen.StreamChangesResponseObject.
func (c *changeStream) VisitStreamChangesResponse(w http.ResponseWriter) error { return c.write(w) }

// VisitStreamAllChangesResponse implements gen.StreamAllChangesResponseObject.
func (c *changeStream) VisitStreamAllChangesResponse(w http.ResponseWriter) error { return c.write(w) }

func (c *changeStream) write(w http.ResponseWriter) error {
	defer c.changes.Close()
	if c.state.reauthorize == nil { // HEAD
		eventstream.SetHeader(w.Header())
		w.WriteHeader(http.StatusOK)
		return nil
	}
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	defer context.AfterFunc(c.settings.stopping, cancel)()
	out, err := eventstream.Start(w, streamWriteTimeout)
	if err == nil {
		err = c.run(ctx, out)
	}
	if err != nil && ctx.Err() == nil {
		c.state.observed.Err = err
	}
	return nil // even if it failed: the response has begun
}

// run writes changes until the stream ends. It returns an error if a write fails.
func (c *changeStream) run(ctx context.Context, out *eventstream.Writer) error {
	scope := c.state.feedScope()
	checkedAt, sentAt := time.Now(), time.Time{}
	for {
		if err := c.writePending(out, scope); err != nil {
			return err
		}
		if now := time.Now(); len(c.pending.Rows) > 0 || now.Sub(sentAt) >= c.settings.heartbeat {
			if err := c.writePosition(out, scope); err != nil {
				return err
			}
			sentAt = now
		}
		var err error
		wait := min(reauthorizeInterval, c.settings.heartbeat-time.Since(sentAt))
		if c.pending, err = c.changes.Next(ctx, max(wait, 0), streamPageSize); err == nil && time.Since(checkedAt) >= reauthorizeInterval {
			err, checkedAt = c.state.reauthorize(), time.Now()
		}
		switch {
		case ctx.Err() != nil: // the reader has disconnected, or the server shuts down
			return nil //nolint:nilerr // see above
		case err != nil:
			return c.fail(out, err)
		}
	}
}

// writePending writes the changes that were read, each with the cursor after it.
func (c *changeStream) writePending(out *eventstream.Writer, scope string) error {
	for i, row := range c.pending.Rows {
		data, err := json.Marshal(toAPIFeedChange(row))
		if err != nil {
			return err
		}
		if err := out.Event(formatCursor(c.pending.PositionAfter(i), scope), "change", data); err != nil {
			return err
		}
	}
	return nil
}

// writePosition writes the cursor after the last change that was read, and flushes the stream.
func (c *changeStream) writePosition(out *eventstream.Writer, scope string) error {
	if len(c.pending.Rows) == 0 {
		if err := out.Position(formatCursor(c.pending.Next, scope)); err != nil {
			return err
		}
	}
	return out.Flush()
}

// fail ends a stream with an event that has the body of an error.
func (c *changeStream) fail(out *eventstream.Writer, err error) error {
	e := toError(err)
	c.state.observed.Err, c.state.observed.Cause = err, e.Cause
	body, err := encodeError(e)
	if err == nil {
		err = out.Event("", "error", bytes.TrimSpace(body))
	}
	if err == nil {
		err = out.Flush()
	}
	return err
}
