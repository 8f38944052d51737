package server_test

import (
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/apitoken"
	"github.com/clientapps/clientapps/store/storetest"
)

// The paths of the reference page's app and of another client's app.
const (
	appPath   = "/v2/clients/aa7cf840-9ca9-46a3-9778-9015d6580d50/apps/f1a2b3c4-d5e6-7890-abcd-ef1234567890"
	otherPath = "/v2/clients/bb7cf840-9ca9-46a3-9778-9015d6580d50/apps/b2a2b3c4-d5e6-7890-abcd-ef1234567890"
)

// The times of the last write of the reference page's app: by the seed, by a scenario's given, by the request under test.
const (
	seeded  = "2026-01-15T10:00:00.000Z"
	earlier = "2026-02-24T14:00:00.000Z"
	now     = "2026-02-24T15:00:00.000Z"
)

// fixture is a server with tokens of all sorts and access to its tables.
type fixture struct {
	*servertest.Server

	db      *sql.DB
	clients map[string]*servertest.Client // by the name of their token
	fresh   tables                        // as seeded
}

func newFixture(t *testing.T, s *servertest.Server) *fixture {
	t.Helper()
	f := &fixture{Server: s, db: storetest.SQL(t, s.DatabaseURL), clients: map[string]*servertest.Client{"everything": s.Client}}
	past := storetest.Now.Add(-time.Second)
	own := []uuid.UUID{storetest.ClientID}
	for _, token := range []store.Token{
		{Name: "client", Scopes: "apps:read apps:write", ClientIDs: own},
		{Name: "reader", Scopes: "apps:read catalog:write", ClientIDs: own},
		{Name: "writer", Scopes: "apps:write catalog:read", ClientIDs: own},
		{Name: "scopeless", AllClients: true},
		{Name: "clients of its own", Scopes: "clients:read clients:write", ClientIDs: own},
		{Name: "other", Scopes: "apps:read apps:write", ClientIDs: []uuid.UUID{storetest.OtherClientID}},
		{Name: "both", Scopes: "apps:read apps:write", ClientIDs: []uuid.UUID{storetest.OtherClientID, storetest.ClientID}},
		{Name: "expired", Scopes: "apps:read apps:write", AllClients: true, ExpiresAt: &past},
		{Name: "expiring now", Scopes: "apps:read apps:write", AllClients: true, ExpiresAt: &storetest.Now},
		{Name: "revoked", Scopes: "apps:read apps:write", AllClients: true},
	} {
		secret, stored := s.NewToken(t, token)
		if token.Name == "revoked" {
			if _, err := s.Store.RevokeToken(t.Context(), nil, stored.ID, false); err != nil {
				t.Fatal(err)
			}
		}
		f.clients[token.Name] = &servertest.Client{URL: s.URL, Token: secret}
	}
	unknown, err := apitoken.New()
	if err != nil {
		t.Fatal(err)
	}
	f.clients["unknown"] = &servertest.Client{URL: s.URL, Token: unknown}
	f.clients["anonymous"] = &servertest.Client{URL: s.URL}
	f.fresh = f.snapshot(t)
	return f
}

// reset restores the seeded apps and their history. Deleting apps adds history, so it is deleted twice.
func (f *fixture) reset(t *testing.T) {
	t.Helper()
	for _, statement := range []string{"DELETE FROM app_changes", "DELETE FROM apps", "DELETE FROM app_changes"} {
		if _, err := f.db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Store.Seed(t.Context(), storetest.Page()); err != nil {
		t.Fatal(err)
	}
	f.SetTime(storetest.Now)
}

// etag returns the current ETag of the reference page's app.
func (f *fixture) etag(t *testing.T) string {
	t.Helper()
	return f.Get(t, appPath).Header.Get("ETag")
}

// tables has all rows of apps and their history.
type tables struct{ apps, changes []row }

// row is a table's row by column, with the same texts for both databases.
type row map[string]string

func (f *fixture) snapshot(t *testing.T) tables {
	t.Helper()
	return tables{
		apps:    f.rows(t, "SELECT * FROM apps ORDER BY client_id, id"),
		changes: f.rows(t, "SELECT * FROM app_changes ORDER BY client_id, app_id, version, field"),
	}
}

func (f *fixture) rows(t *testing.T, query string) []row {
	t.Helper()
	result, err := f.db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer result.Close()
	columns, err := result.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	for result.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := result.Scan(values...); err != nil {
			t.Fatal(err)
		}
		r := row{}
		for i, column := range columns {
			r[column] = text(column, *values[i].(*any))
		}
		delete(r, "position") // the order of transactions: see changes_test.go
		if r["field"] != "" {
			delete(r, "catalog_app_id")
		}
		rows = append(rows, r)
	}
	if err := result.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}

// text converts the different Go types of the two drivers to one text.
func text(column string, value any) string {
	switch v := value.(type) {
	case time.Time:
		return v.UTC().Format("2006-01-02T15:04:05.999999999Z07:00")
	case int64:
		switch {
		case strings.HasSuffix(column, "_at"):
			return time.UnixMilli(v).UTC().Format("2006-01-02T15:04:05.999999999Z07:00")
		case strings.HasPrefix(column, "is_"):
			return strconv.FormatBool(v == 1)
		}
	case nil:
		return "null"
	case []byte:
		return string(v)
	}
	return fmt.Sprint(value)
}

// String returns the row with its columns sorted by name.
func (r row) String() string {
	var b strings.Builder
	for _, column := range slices.Sorted(maps.Keys(r)) {
		fmt.Fprintf(&b, " %s=%s", column, r[column])
	}
	return b.String()
}

func id(text string) uuid.UUID { return uuid.MustParse(text) }
