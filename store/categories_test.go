package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

func TestCategory(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		s := openSeeded(t, url, storetest.Page(), withClock(clock))
		db := storetest.SQL(t, url)
		clock.Advance(time.Minute)
		made := must(s.CreateCategory(t.Context(), store.Fields{store.ColumnName: "Großes"}, alice))(t)
		want := store.Category{ID: made.ID, Name: "Großes", NameKey: "grosses", Version: 1, CreatedAt: clock.Now(), UpdatedAt: clock.Now()}
		wantJSON(t, "a category", made, want)

		tags := map[string]bool{made.ETag(): true}
		for _, step := range []struct {
			name, key string
			changes   bool
		}{
			{"Großes", "grosses", false}, {"GROSSES", "grosses", true}, {"GROSSES", "grosses", false}, {"Kleines", "kleines", true},
		} {
			clock.Advance(time.Minute)
			before := revision(t, db)
			want.Name, want.NameKey = step.name, step.key
			if step.changes {
				want.Version, want.UpdatedAt = want.Version+1, clock.Now()
			}
			got := must(s.UpdateCategory(t.Context(), made.ID, store.Fields{store.ColumnName: step.name}, alice, nil))(t)
			wantJSON(t, "named "+step.name, got, want)
			if tags[got.ETag()] == step.changes || (revision(t, db) != before) != step.changes {
				t.Errorf("named %s the tag is %s, the revision was %d and is %d", step.name, got.ETag(), before, revision(t, db))
			}
			tags[got.ETag()] = true
			list := must(s.ListCategories(t.Context(), step.name, fullPage(store.ColumnName)))(t)
			wantJSON(t, step.name+" in the list", list.Rows, []store.Category{want})
		}

		before := allRows(t, db)
		_, err := s.CreateCategory(t.Context(), store.Fields{store.ColumnName: "COMMUNICATION"}, alice)
		wantError(t, err, &store.ConflictError{Field: store.ColumnName})
		_, err = s.UpdateCategory(t.Context(), made.ID, store.Fields{store.ColumnName: "communication"}, alice, nil)
		wantError(t, err, &store.ConflictError{Field: store.ColumnName})
		_, err = s.UpdateCategory(t.Context(), idOf("unknown"), store.Fields{}, alice, &store.IfMatch{})
		wantError(t, err, &store.NotFoundError{Kind: store.KindCategory, ID: idOf("unknown")})
		_, err = s.UpdateCategory(t.Context(), made.ID, store.Fields{}, alice, &store.IfMatch{Tags: []string{made.ETag()}})
		wantError(t, err, &store.PreconditionError{})
		wantJSON(t, "the database after what was refused", allRows(t, db), before)

		seen := must(s.UpdateCategory(t.Context(), storetest.CategoryID, store.Fields{}, alice, nil))(t)
		match := &store.IfMatch{Tags: []string{seen.ETag()}}
		winner := race(t, func(n int) error {
			_, err := s.UpdateCategory(t.Context(), storetest.CategoryID, store.Fields{store.ColumnName: fmt.Sprintf("Writer %d", n)}, alice, match)
			return err
		})
		list := must(s.ListCategories(t.Context(), "writer", fullPage(store.ColumnName)))(t)
		if len(list.Rows) != 1 || list.Rows[0].Name != fmt.Sprintf("Writer %d", winner) || list.Rows[0].Version != 2 {
			t.Errorf("writer %d succeeded, and the list is %s", winner, asJSON(t, list.Rows))
		}
	})
}
