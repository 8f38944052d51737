package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

func TestVendor(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		s := openSeeded(t, url, storetest.Page(), withClock(clock))
		db := storetest.SQL(t, url)
		clock.Advance(time.Minute)
		bare := must(s.CreateVendor(t.Context(), store.Fields{store.ColumnName: "Weiß GmbH"}, alice))(t)
		want := store.Vendor{ID: bare.ID, Name: "Weiß GmbH", NameKey: "weiss gmbh", Version: 1, CreatedAt: clock.Now(), UpdatedAt: clock.Now()}
		wantJSON(t, "a vendor that is but a name", bare, want)
		full := must(s.CreateVendor(t.Context(), store.Fields{store.ColumnName: "Ärger AG", store.ColumnURL: "https://a.example"}, alice))(t)
		wantJSON(t, "a vendor with a URL", full, store.Vendor{
			ID: full.ID, Name: "Ärger AG", NameKey: "ärger ag", URL: new("https://a.example"), Version: 1, CreatedAt: clock.Now(), UpdatedAt: clock.Now(),
		})

		tags := map[string]bool{bare.ETag(): true}
		for _, step := range []struct {
			fields  store.Fields
			expect  func()
			changes bool
		}{
			{store.Fields{store.ColumnURL: "https://weiss.example"}, func() { want.URL = new("https://weiss.example") }, true},
			{store.Fields{store.ColumnURL: "https://weiss.example"}, func() {}, false},
			{store.Fields{}, func() {}, false},
			{store.Fields{store.ColumnURL: nil}, func() { want.URL = nil }, true},
			{store.Fields{store.ColumnURL: nil, store.ColumnName: "Weiß GmbH"}, func() {}, false},
			{store.Fields{store.ColumnName: "WEISS GmbH"}, func() { want.Name = "WEISS GmbH" }, true},
			{store.Fields{store.ColumnName: "Schwarz", store.ColumnURL: "https://s.example"}, func() {
				want.Name, want.NameKey, want.URL = "Schwarz", "schwarz", new("https://s.example")
			}, true},
		} {
			clock.Advance(time.Minute)
			before := revision(t, db)
			step.expect()
			if step.changes {
				want.Version, want.UpdatedAt = want.Version+1, clock.Now()
			}
			got := must(s.UpdateVendor(t.Context(), bare.ID, step.fields, alice, nil))(t)
			what := fmt.Sprintf("with %v", step.fields)
			wantJSON(t, what, got, want)
			if tags[got.ETag()] == step.changes || (revision(t, db) != before) != step.changes {
				t.Errorf("%s the tag is %s, the revision was %d and is %d", what, got.ETag(), before, revision(t, db))
			}
			tags[got.ETag()] = true
			list := must(s.ListVendors(t.Context(), want.Name, fullPage(store.ColumnName)))(t)
			wantJSON(t, what+" in the list", list.Rows, []store.Vendor{want})
		}

		before := allRows(t, db)
		taken := &store.ConflictError{Field: store.ColumnName}
		for _, same := range []string{"ÄRGER ag", "SALESFORCE, INC."} {
			_, err := s.CreateVendor(t.Context(), store.Fields{store.ColumnName: same}, alice)
			wantError(t, err, taken)
			_, err = s.UpdateVendor(t.Context(), bare.ID, store.Fields{store.ColumnName: same, store.ColumnURL: nil}, alice, nil)
			wantError(t, err, taken)
		}
		_, err := s.UpdateVendor(t.Context(), idOf("unknown"), store.Fields{}, alice, &store.IfMatch{})
		wantError(t, err, &store.NotFoundError{Kind: store.KindVendor, ID: idOf("unknown")})
		_, err = s.UpdateVendor(t.Context(), bare.ID, store.Fields{}, alice, &store.IfMatch{Tags: []string{bare.ETag()}})
		wantError(t, err, &store.PreconditionError{})
		wantJSON(t, "the database after what was refused", allRows(t, db), before)

		match := &store.IfMatch{Tags: []string{full.ETag()}}
		winner := race(t, func(n int) error {
			_, err := s.UpdateVendor(t.Context(), full.ID, store.Fields{store.ColumnName: fmt.Sprintf("Writer %d", n)}, alice, match)
			return err
		})
		list := must(s.ListVendors(t.Context(), "writer", fullPage(store.ColumnName)))(t)
		if len(list.Rows) != 1 || list.Rows[0].Name != fmt.Sprintf("Writer %d", winner) || list.Rows[0].Version != 2 {
			t.Errorf("writer %d succeeded, and the list is %s", winner, asJSON(t, list.Rows))
		}
	})
}
