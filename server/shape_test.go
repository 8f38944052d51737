package server_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// A nullable field is null and never absent, and an empty relation is [].
func TestAppWithoutCatalogData(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		made := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		id := uuid.MustParse("01234567-89ab-cdef-0123-456789abcdef")
		err := s.Store.Seed(t.Context(), store.Dataset{
			CatalogApps: []store.CatalogApp{{ID: id, CanonicalName: "Own <tool> & \"ä\" 😀", CreatedAt: made, UpdatedAt: made}},
			Apps: []store.App{{
				ClientID: storetest.ClientID, ID: id, CatalogAppID: id, ActorName: "x", RequestID: "x", CreatedAt: made, UpdatedAt: made,
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		want := `{"id":"01234567-89ab-cdef-0123-456789abcdef","catalog_app":{"id":"01234567-89ab-cdef-0123-456789abcdef",` +
			`"canonical_name":"Own \u003ctool\u003e \u0026 \"ä\" 😀","description":null,"display_colour":null,"logo":null,"type":null,` +
			`"vendor":null,"categories":[],"created_at":"2026-01-02T03:04:05.000Z","updated_at":"2026-01-02T03:04:05.000Z"},` +
			`"is_favorite":false,"is_approved":false,"license_count":null,` +
			`"created_at":"2026-01-02T03:04:05.000Z","updated_at":"2026-01-02T03:04:05.000Z"}` + "\n"
		if got := s.Get(t, pathOf(clientID, id.String())).Body; got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		if got := s.Patch(t, pathOf(clientID, id.String()), `{}`).Body; got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

// Timestamps have exactly three decimals, truncated. A write answers with the same timestamps as the next read.
func TestTimestamps(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		f := newFixture(t, s)
		base := time.Date(2026, 3, 1, 12, 30, 15, 0, time.UTC)
		east := time.FixedZone("", 5*3600+30*60)
		for i, at := range []struct {
			clock time.Time
			want  string
		}{
			{base, "2026-03-01T12:30:15.000Z"},
			{base.Add(100 * time.Millisecond), "2026-03-01T12:30:15.100Z"},
			{base.Add(120 * time.Millisecond), "2026-03-01T12:30:15.120Z"},
			{base.Add(123 * time.Millisecond), "2026-03-01T12:30:15.123Z"},
			{base.Add(124*time.Millisecond - time.Nanosecond), "2026-03-01T12:30:15.123Z"},
			{base.Add(999*time.Millisecond + 999*time.Microsecond), "2026-03-01T12:30:15.999Z"},
			{base.Add(time.Hour).In(east), "2026-03-01T13:30:15.000Z"},
			{time.Date(2026, 12, 31, 23, 59, 59, 999_999_999, time.UTC), "2026-12-31T23:59:59.999Z"},
			{time.Date(2028, 2, 29, 0, 0, 0, 0, time.UTC), "2028-02-29T00:00:00.000Z"},
		} {
			s.SetTime(at.clock)
			favorite := i%2 == 0
			body := `{"is_favorite":false}`
			if favorite {
				body = `{"is_favorite":true}`
			}
			written := s.Patch(t, appPath, body)
			if want := app(favorite, false, "null", at.want) + "\n"; written.Body != want {
				t.Errorf("got\n%s\nwant\n%s", written.Body, want)
			}
			if read := s.Get(t, appPath); read.Body != written.Body || read.Header.Get("ETag") != written.Header.Get("ETag") {
				t.Errorf("wrote %s %s, read %s %s", written.Header.Get("ETag"), written.Body, read.Header.Get("ETag"), read.Body)
			}
			changes := f.rows(t, "SELECT changed_at FROM app_changes WHERE field = 'is_favorite' ORDER BY version")
			if got := changes[len(changes)-1]["changed_at"]; got != shortTime(at.want) {
				t.Errorf("changed at %s, want %s", got, at.want)
			}
		}
	})
}

// A patch of one client's app does not change another client's app of the same catalog entry.
func TestClientsAreApart(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		f := newFixture(t, s)
		before := s.Get(t, otherPath)
		if r := f.clients["client"].Patch(t, appPath, `{"is_favorite":true,"is_approved":true,"license_count":5}`); r.Status != 200 {
			t.Errorf("own app: %d", r.Status)
		}
		if r := f.clients["client"].Patch(t, otherPath, `{"is_favorite":true}`); r.Status != 403 {
			t.Errorf("another client's app: %d", r.Status)
		}
		after := s.Get(t, otherPath)
		if after.Body != before.Body || after.Header.Get("ETag") != before.Header.Get("ETag") {
			t.Errorf("was %s, is %s", before.Body, after.Body)
		}
		if r := f.clients["other"].Patch(t, otherPath, `{"license_count":6}`); r.Status != 200 {
			t.Errorf("the other's own app: %d", r.Status)
		}
		if got, want := s.Get(t, appPath).Body, app(true, true, "5", now)+"\n"; got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}
