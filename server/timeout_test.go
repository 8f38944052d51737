package server_test

import (
	"context"
	"database/sql"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

// lockApps blocks writes of apps by others, and on PostgreSQL reads too, until the returned function releases the lock.
func lockApps(t *testing.T, db *sql.DB, url string) (unlock func()) {
	t.Helper()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	statements := []string{"BEGIN", "LOCK TABLE apps IN ACCESS EXCLUSIVE MODE"}
	if strings.HasPrefix(url, "sqlite:") {
		statements = []string{"BEGIN IMMEDIATE"}
	}
	for _, statement := range statements {
		if _, err := conn.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return sync.OnceFunc(func() {
		if _, err := conn.ExecContext(context.WithoutCancel(t.Context()), "ROLLBACK"); err != nil {
			t.Error(err)
		}
		_ = conn.Close()
	})
}

// A request that waits for the database, or for a connection to it, gets 503 at its timeout. The next request after the lock is
// released succeeds.
func TestDatabaseTimeout(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		s := servertest.New(t, url, func(c *server.Config) { c.DatabaseTimeout = 300 * time.Millisecond })
		s.Get(t, appPath)
		unlock := lockApps(t, storetest.SQL(t, url), url)
		defer unlock()
		var all sync.WaitGroup
		for range 20 { // more than the pool has connections
			all.Go(func() {
				got := s.Patch(t, appPath, `{"license_count":5}`)
				if got.Status != http.StatusServiceUnavailable || got.Body != unavailable+"\n" || got.Header.Get("Retry-After") != "1" {
					t.Errorf("%d %v %s", got.Status, got.Header, got.Body)
				}
			})
		}
		all.Wait()
		unlock()
		if got := s.Patch(t, appPath, `{"license_count":6}`); got.Status != http.StatusOK || got.Body != app(false, false, "6", now)+"\n" {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	})
}

// When a client disconnects, its database work is canceled.
func TestHangUpCancelsTheStatement(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	s := servertest.New(t, url, func(c *server.Config) { c.DatabaseTimeout = 10 * time.Minute })
	s.Get(t, appPath)
	db := storetest.SQL(t, url)
	waiting := func(n int) func() bool {
		return func() bool {
			var found int
			err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM pg_stat_activity "+
				"WHERE datname = current_database() AND wait_event_type = 'Lock' AND state = 'active'").Scan(&found)
			if err != nil {
				t.Fatal(err)
			}
			return found == n
		}
	}
	unlock := lockApps(t, db, url)
	defer unlock()
	for _, r := range []request{
		{method: http.MethodGet, target: appPath},
		{method: http.MethodGet, target: clientPath + "/apps"},
		{method: http.MethodPatch, target: appPath, body: `{"license_count":5}`},
		{method: http.MethodPost, target: clientPath + "/apps/favorites", body: bulkBody},
		{method: http.MethodDelete, target: appPath},
	} {
		ctx, disconnect := context.WithCancel(t.Context())
		request, err := http.NewRequestWithContext(ctx, r.method, s.URL+r.target, strings.NewReader(r.body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+s.Token)
		request.Header.Set("Content-Type", "application/json")
		gone := make(chan error, 1)
		go func() {
			response, err := http.DefaultTransport.RoundTrip(request)
			if err == nil {
				_ = response.Body.Close()
			}
			gone <- err
		}()
		eventually(t, waiting(1))
		disconnect()
		if err := <-gone; err == nil {
			t.Errorf("%s %s was answered", r.method, r.target)
		}
		eventually(t, waiting(0))
	}
	unlock()
	if got := s.Get(t, appPath); got.Status != http.StatusOK || got.Body != asSeeded+"\n" {
		t.Errorf("%d %s", got.Status, got.Body)
	}
}
