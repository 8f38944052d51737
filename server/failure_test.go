package server_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// An internal error is a 500 that reveals nothing and writes nothing. Its cause is in the log.
func TestInternalError(t *testing.T) {
	t.Parallel()
	for _, fault := range []struct {
		name, statement string
		only            string // the only method that it breaks; both if empty
		newToken        bool   // a token that the server has not cached
	}{
		{name: "apps", statement: "ALTER TABLE apps RENAME TO apps_lost"},
		{name: "catalog", statement: "ALTER TABLE catalog_vendors RENAME TO vendors_lost"},
		{name: "history", statement: "DROP TABLE app_changes", only: http.MethodPatch},
		{name: "tokens", statement: "ALTER TABLE tokens RENAME TO tokens_lost", newToken: true},
		{name: "token clients", statement: "ALTER TABLE token_clients RENAME TO token_clients_lost", newToken: true},
	} {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			servertest.Each(t, func(t *testing.T, s *servertest.Server) {
				client := s.Client
				if fault.newToken {
					secret, _ := s.NewToken(t, store.Token{Name: "new", Scopes: "apps:read apps:write", AllClients: true})
					client = &servertest.Client{URL: s.URL, Token: secret}
				}
				tag := ""
				if fault.name != "catalog" {
					tag = s.Get(t, appPath).Header.Get("ETag")
				}
				db := storetest.SQL(t, s.DatabaseURL)
				if fault.name == "catalog" {
					// The server caches the catalog and queries the database only for an entry that it does not know.
					addUnknownEntry(t, db)
				}
				if _, err := db.ExecContext(t.Context(), fault.statement); err != nil {
					t.Fatal(err)
				}
				for _, method := range []string{http.MethodGet, http.MethodPatch} {
					if fault.only != "" && fault.only != method {
						continue
					}
					got := client.Send(t, servertest.Request{Method: method, Target: appPath, Body: `{"license_count":5}`})
					want := broken
					if fault.name == "catalog" && method == http.MethodPatch {
						want = unknown // the patch was committed, only its answer cannot be built
					}
					if got.Status != http.StatusInternalServerError || got.Body != want+"\n" {
						t.Errorf("%s: %d %s", method, got.Status, got.Body)
					}
					lines := s.Log.Requests(t)
					line := lines[len(lines)-1]
					if line["level"] != "ERROR" || line["error"] == nil || line["status"] != 500.0 {
						t.Errorf("log: %v", line)
					}
				}
				if fault.only != "" {
					if r := s.Get(t, appPath); r.Body != asSeeded+"\n" || r.Header.Get("ETag") != tag {
						t.Errorf("the failed patch was written: %s %s", r.Header.Get("ETag"), r.Body)
					}
				}
			})
		})
	}
}

// addUnknownEntry gives the reference page's app a catalog app that the server has not loaded.
func addUnknownEntry(t *testing.T, db *sql.DB) {
	t.Helper()
	for _, statement := range []string{
		`INSERT INTO catalog_apps (id, canonical_name, name_key, version, created_at, updated_at)
		 SELECT '00000000-0000-0000-0000-00000000000c', 'New', 'new', 1, created_at, updated_at FROM catalog_apps`,
		`UPDATE apps SET catalog_app_id = '00000000-0000-0000-0000-00000000000c' WHERE id = '` + appID + `'`,
		`UPDATE catalog_state SET revision = revision + 1`,
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

// While the database cannot be reached every operation answers 503 with Retry-After, whether the token is cached or not.
func TestUnavailable(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		s.Get(t, appPath) // caches the token
		secret, _ := s.NewToken(t, store.Token{Name: "new", Scopes: "apps:read apps:write", AllClients: true})
		if err := s.Store.Close(); err != nil {
			t.Fatal(err)
		}
		for _, token := range []string{s.Token, secret} {
			client := &servertest.Client{URL: s.URL, Token: token}
			for _, r := range []servertest.Request{
				{Method: http.MethodGet, Target: appPath},
				{Method: http.MethodHead, Target: appPath},
				{Method: http.MethodPatch, Target: appPath, Body: `{"license_count":5}`},
				{Method: http.MethodPatch, Target: appPath, Body: `{}`},
				{Method: http.MethodPatch, Target: appPath, Body: `{"license_count":5}`, Header: []string{`If-Match: "x"`}},
			} {
				got := client.SendBoth(t, r)
				want := unavailable + "\n"
				if r.Method == http.MethodHead {
					want = ""
				}
				if got.Status != http.StatusServiceUnavailable || got.Body != want || got.Header.Get("Retry-After") != "1" {
					t.Errorf("%s %s: %d %v %s", r.Method, r.Body, got.Status, got.Header, got.Body)
				}
			}
		}
		if got := s.Send(t, servertest.Request{Method: http.MethodGet, Target: appPath, Header: []string{"Authorization:"}}); got.Status != 401 {
			t.Errorf("without a token: %d", got.Status)
		}
	})
}

// A handler that panics or returns an unexpected error gets the same 500 as any other internal error.
func TestHandlerFails(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, storetest.SQLite(t))
	var app *store.App
	handlers := map[string]echo.HandlerFunc{
		"panics":      func(echo.Context) error { panic("the text of the panic") },
		"dereference": func(echo.Context) error { return errors.New(app.ActorName) },
		"error":       func(echo.Context) error { return errors.New("the text of the driver") },
		"wrapped":     func(echo.Context) error { return fmt.Errorf("the text of the store: %w", errors.ErrUnsupported) },
		"canceled":    func(echo.Context) error { return context.Canceled }, // although the client is still connected
	}
	for name, handler := range handlers {
		s.Server.Handle("/"+name, handler)
	}
	for name := range handlers {
		got := s.SendBoth(t, servertest.Request{Method: http.MethodGet, Target: "/" + name})
		if got.Status != http.StatusInternalServerError || got.Body != broken+"\n" {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
		lines := s.Log.Requests(t)
		if line := lines[len(lines)-1]; line["level"] != "ERROR" || line["error"] == nil || line["status"] != 500.0 {
			t.Errorf("%s: log: %v", name, line)
		}
	}
}

// A client that disconnects gets no answer; the log has status 499 for it.
func TestClientGone(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, storetest.SQLite(t))
	reached := make(chan struct{})
	s.Server.Handle("/slow", func(c echo.Context) error {
		close(reached)
		<-c.Request().Context().Done()
		return c.Request().Context().Err()
	})
	ctx, disconnect := context.WithCancel(t.Context())
	go func() {
		<-reached
		disconnect()
	}()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/slow", nil)
	if err != nil {
		t.Fatal(err)
	}
	if response, err := http.DefaultTransport.RoundTrip(request); err == nil {
		_ = response.Body.Close()
		t.Errorf("answered %d", response.StatusCode)
	}
	eventually(t, func() bool { return len(s.Log.Requests(t)) == 1 })
	if line := s.Log.Requests(t)[0]; line["status"] != 499.0 || line["level"] != "INFO" {
		t.Errorf("log: %v", line)
	}
}

// eventually waits until a condition holds, long enough for a slow machine.
func eventually(t *testing.T, so func() bool) {
	t.Helper()
	if !storetest.Poll(so) {
		t.Fatal("the condition was not met in time")
	}
}
