package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/url"
	"strings"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/store"
)

const defaultPageSize = 50

// pageParams are the query parameters that every list has.
type pageParams[S, O ~string] struct {
	size   *gen.PageSize
	cursor *gen.Cursor
	sortBy *S
	order  *O
}

// page reads the parameters of a list. The contract's default for sort_by is the list's own.
func (p pageParams[S, O]) page(ctx context.Context, sortBy store.Column) (store.Page, error) {
	page := store.Page{Size: defaultPageSize, SortBy: sortBy}
	if p.size != nil {
		page.Size = int(*p.size)
	}
	if p.sortBy != nil {
		page.SortBy = store.Column(*p.sortBy)
	}
	if p.order != nil {
		page.Desc = *p.order == "desc"
	}
	if p.cursor == nil {
		return page, nil
	}
	after, ok := parseCursor(*p.cursor, requestStateOf(ctx).listScope())
	if !ok {
		return store.Page{}, errCursor("cursor")
	}
	page.After = &after
	return page, nil
}

// errCursor refuses a cursor that is not a cursor of this list.
func errCursor(field string) *Error {
	return invalidRequest(field+" must be a next_cursor of the same list", &gen.ErrorDetails{Field: &field})
}

// nextPage returns the cursor and the Link header (RFC 8288) of the next page. Both are nil on the last page.
func nextPage(ctx context.Context, next *store.Position) (cursor, link *string) {
	if next == nil {
		return nil, nil
	}
	state := requestStateOf(ctx)
	text := formatCursor(*next, state.listScope())
	query := state.url.Query()
	query.Set("cursor", text)
	target := "<" + (&url.URL{Path: state.url.Path, RawQuery: query.Encode()}).String() + `>; rel="next"`
	return &text, &target
}

// listScope returns what a cursor is bound to: the list with its client, its filters and its order. The page size may change
// between pages.
func (state *requestState) listScope() string {
	query := state.url.Query()
	query.Del("cursor")
	query.Del("page_size")
	for name, value := range state.operation.defaults {
		if query.Get(name) == value {
			query.Del(name)
		}
	}
	return state.operation.id + "\n" + strings.ToLower(state.url.Path) + "\n" + query.Encode()
}

// cursorDigestSize is the length in bytes of the digest at the start of a cursor. The position follows. The digest covers the
// position and the scope of the list, and so detects garbled cursors and those of other lists. It has no key, so the store also
// checks that the list can have the position. A cursor is not secret, since the token may read the list.
const cursorDigestSize = 8

func formatCursor(p store.Position, scope string) string {
	position := p.SortKey + "\x00" + p.TieBreaker
	return base64.RawURLEncoding.EncodeToString(append(cursorDigest(scope, position), position...))
}

func parseCursor(text, scope string) (store.Position, bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) < cursorDigestSize || strings.ContainsAny(text, "\r\n") { // which the decoder skips
		return store.Position{}, false
	}
	position := string(raw[cursorDigestSize:])
	if subtle.ConstantTimeCompare(raw[:cursorDigestSize], cursorDigest(scope, position)) != 1 {
		return store.Position{}, false
	}
	sortKey, tieBreaker, ok := strings.Cut(position, "\x00")
	return store.Position{SortKey: sortKey, TieBreaker: tieBreaker}, ok
}

func cursorDigest(scope, position string) []byte {
	sum := sha256.Sum256([]byte(scope + "\x00" + position))
	return sum[:cursorDigestSize]
}

// mapped converts the rows of a page. An empty page is [], never null.
func mapped[From, To any](rows []From, convert func(From) To) []To {
	out := make([]To, 0, len(rows))
	for _, row := range rows {
		out = append(out, convert(row))
	}
	return out
}
