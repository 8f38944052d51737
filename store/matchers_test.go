package store_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// text is a URL pattern or a desktop alias.
type text struct {
	ID        uuid.UUID
	Text      string
	CreatedAt time.Time
}

// matcherKind has the methods for one kind of matchers.
type matcherKind struct {
	kind    string
	sortBy  store.Column
	replace func(ctx context.Context, id uuid.UUID, texts []string, by store.Actor, match *store.IfMatch) error
	list    func(ctx context.Context, id uuid.UUID, q string, p store.Page) ([]text, int64, error)
}

func matcherKinds(s *store.Store) []matcherKind {
	return []matcherKind{
		{"patterns", store.ColumnPattern, s.ReplaceURLPatterns, func(ctx context.Context, id uuid.UUID, q string, p store.Page) ([]text, int64, error) {
			list, err := s.ListURLPatterns(ctx, id, q, p)
			rows := []text{}
			for _, p := range list.Rows {
				rows = append(rows, text{p.ID, p.Pattern, p.CreatedAt})
			}
			return rows, list.Total, err
		}},
		{"aliases", store.ColumnAlias, s.ReplaceDesktopAliases, func(ctx context.Context, id uuid.UUID, q string, p store.Page) ([]text, int64, error) {
			list, err := s.ListDesktopAliases(ctx, id, q, p)
			rows := []text{}
			for _, a := range list.Rows {
				rows = append(rows, text{a.ID, a.Alias, a.CreatedAt})
			}
			return rows, list.Total, err
		}},
	}
}

func TestReplaceTexts(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		data := storetest.Page()
		data.CatalogApps = append(data.CatalogApps, catalogApp("Zoom"))
		s := openSeeded(t, url, data, withClock(clock))
		other := idOf("Zoom")
		entry := must(s.GetCatalogApp(t.Context(), storetest.CatalogID))(t)
		for _, kind := range matcherKinds(s) {
			read := func(id uuid.UUID, q string) []text {
				t.Helper()
				rows, total, err := kind.list(t.Context(), id, q, fullPage(kind.sortBy))
				if err != nil || total != int64(len(rows)) {
					t.Fatalf("%s: total %d, %v", kind.kind, total, err)
				}
				return rows
			}
			if err := kind.replace(t.Context(), other, []string{"b", "zoom"}, alice, nil); err != nil {
				t.Fatal(err)
			}
			others := read(other, "")

			known := map[string]text{}
			for _, step := range []struct{ set, want []string }{
				{nil, nil},
				{[]string{"b", "a", "b", "Ä", "a"}, []string{"a", "b", "Ä"}},
				{[]string{"a", "b", "Ä"}, []string{"a", "b", "Ä"}},
				{[]string{"c", "ä", "b", "B"}, []string{"b", "B", "c", "ä"}}, // texts that differ only in case are different
				{[]string{"c"}, []string{"c"}},
				{[]string{"c", "b"}, []string{"b", "c"}},
				{[]string{}, nil},
			} {
				clock.Advance(time.Minute)
				what := fmt.Sprintf("%s after %q", kind.kind, step.set)
				if err := kind.replace(t.Context(), storetest.CatalogID, step.set, alice, nil); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				rows := read(storetest.CatalogID, "")
				got, now := []string(nil), map[string]text{}
				for _, row := range rows {
					got, now[row.Text] = append(got, row.Text), row
					if old, stays := known[row.Text]; stays {
						wantJSON(t, what+" what stays", row, old)
					} else if !row.CreatedAt.Equal(clock.Now()) || row.ID == uuid.Nil {
						t.Errorf("%s what is new is %s", what, asJSON(t, row))
					}
				}
				slices.Sort(got)
				if want := slices.Sorted(slices.Values(step.want)); !slices.Equal(got, want) {
					t.Errorf("%s are %q, want %q", what, got, want)
				}
				known = now
			}
			wantJSON(t, kind.kind+" of another catalog app", read(other, ""), others)
		}
		// A catalog app does not show its matchers.
		wantJSON(t, "the catalog app", must(s.GetCatalogApp(t.Context(), storetest.CatalogID))(t), entry)
		if tag := must(openWithoutPolling(t, url).GetCatalogApp(t.Context(), storetest.CatalogID))(t).ETag(); tag != entry.ETag() {
			t.Errorf("the tag of the catalog app changed from %s to %s", entry.ETag(), tag)
		}
	})
}

func TestTextsOfUnknownCatalogApp(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		s := openSeeded(t, url, storetest.Page())
		before := allRows(t, storetest.SQL(t, url))
		missing := &store.NotFoundError{Kind: store.KindCatalogApp, ID: idOf("unknown")}
		for _, kind := range matcherKinds(s) {
			_, _, err := kind.list(t.Context(), missing.ID, "", fullPage(kind.sortBy))
			wantError(t, err, missing)
			wantError(t, kind.replace(t.Context(), missing.ID, []string{"a"}, alice, nil), missing)
			wantError(t, kind.replace(t.Context(), missing.ID, nil, alice, nil), missing)
		}
		wantJSON(t, "the database", allRows(t, storetest.SQL(t, url)), before)
	})
}
