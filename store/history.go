package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store/keyset"
)

// ID names the change. It is derived from what makes the change unique, and so needs no place in the table.
func (c AppChange) ID() uuid.UUID {
	return uuid.NewSHA1(c.ClientID, fmt.Appendf(nil, "%s:%d:%s", c.AppID, c.Version, c.Field))
}

var changeListing = listing[AppChange]{
	Keys: map[Column]sortKey[AppChange]{
		ColumnVersion: keyset.IntKey("version", func(c AppChange) int64 { return c.Version }),
	},
	Tie:  "field",
	Of:   func(c AppChange) string { return c.Field },
	Tied: isFieldName,
}

// isFieldName says whether a text can be the name of a field, of this version or a later one.
func isFieldName(text string) bool {
	return text != "" && len(text) <= 64 && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// ListAppChanges returns one page of an app's history, newest first; the page's order is set here. The history outlives
// the app: NotFoundError says that the client has never had it, or that there is no such client.
func (s *Store) ListAppChanges(ctx context.Context, key AppKey, p Page) (List[AppChange], error) {
	if err := s.checkNotDeleting(ctx, key.ClientID); err != nil {
		return List[AppChange]{}, err
	}
	if key.ID == uuid.Nil { // under which the history of the client itself is kept
		return List[AppChange]{}, s.missingApp(ctx, key)
	}
	p.SortBy, p.Desc = ColumnVersion, true
	var list List[AppChange]
	err := s.retryInRLS(ctx, func() (err error) {
		list, err = changeListing.Page(ctx, s.tenant(ctx, key.ClientID).Where("app_id = ?", key.ID), p, nil)
		return err
	})
	if err != nil {
		return List[AppChange]{}, s.translate("list app changes", err)
	}
	if list.Total == 0 {
		return List[AppChange]{}, s.missingApp(ctx, key)
	}
	return list, nil
}
