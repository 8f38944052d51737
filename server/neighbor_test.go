package server_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

// maxDelay bounds the time of a request while another client's requests wait. Without a share for each client it would take as
// long as they wait: five seconds.
const maxDelay = time.Second

// sendWithinDelay sends a request and wants this status within maxDelay.
func sendWithinDelay(t *testing.T, as *servertest.Client, status int, r servertest.Request) *servertest.Response {
	t.Helper()
	begun := time.Now()
	got := as.Send(t, r)
	if took := time.Since(begun); got.Status != status || took > maxDelay {
		t.Errorf("%s %s: %d after %v, want %d: %s", r.Method, r.Target, got.Status, took, status, got.Body)
	}
	return got
}

// holdRow locks the reference page's app on PostgreSQL, and the whole file on SQLite, until the returned function releases it.
func holdRow(t *testing.T, s *servertest.Server) (release func()) {
	t.Helper()
	db := storetest.SQL(t, s.DatabaseURL)
	if strings.HasPrefix(s.DatabaseURL, "sqlite:") {
		return lockApps(t, db, s.DatabaseURL)
	}
	tx, err := db.BeginTx(t.Context(), nil)
	if err == nil {
		_, err = tx.ExecContext(t.Context(), "SELECT 1 FROM apps WHERE client_id = $1 AND id = $2 FOR UPDATE", clientID, appID)
	}
	if err != nil {
		t.Fatal(err)
	}
	return sync.OnceFunc(func() {
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
	})
}

// More bulk requests of one client wait for a locked app than there are connections. Other clients and the readiness probe are
// not delayed. On SQLite, which has one writer, other clients can still read.
func TestWaitingClientHurtsNobodyElse(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		tag := s.Get(t, otherPath).Header.Get("ETag")
		release := holdRow(t, s)
		defer release()
		const waiting = 24
		var all sync.WaitGroup
		for range waiting {
			all.Go(func() {
				got := s.Send(t, servertest.Request{Method: http.MethodPost, Target: clientPath + "/apps/approval", Body: bulkBody})
				if got.Status != http.StatusOK && got.Status != http.StatusServiceUnavailable {
					t.Errorf("the client that waited: %d %s", got.Status, got.Body)
				}
			})
		}
		share := 2 // a quarter of the eight connections
		if strings.HasPrefix(s.DatabaseURL, "sqlite:") {
			share = 1
		}
		eventually(t, func() bool { return s.Store.Stats().Shares.Waiting == waiting-share })
		anonymous := &servertest.Client{URL: s.URL}
		for range 3 {
			sendWithinDelay(t, s.Client, http.StatusOK, servertest.Request{Method: http.MethodGet, Target: otherPath})
			sendWithinDelay(t, s.Client, http.StatusOK, servertest.Request{Method: http.MethodGet, Target: appPath})
			sendWithinDelay(t, anonymous, http.StatusOK, servertest.Request{Method: http.MethodGet, Target: "/readyz"})
		}
		if strings.HasPrefix(s.DatabaseURL, "postgres") {
			got := sendWithinDelay(t, s.Client, http.StatusOK, servertest.Request{
				Method: http.MethodPatch, Target: otherPath, Body: `{"license_count":5}`, Header: []string{"If-Match: " + tag},
			})
			sendWithinDelay(t, s.Client, http.StatusPreconditionFailed, servertest.Request{
				Method: http.MethodDelete, Target: otherPath, Header: []string{"If-Match: " + tag},
			})
			sendWithinDelay(t, s.Client, http.StatusOK, servertest.Request{
				Method: http.MethodPost, Target: strings.Replace(clientPath, clientID, storetest.OtherClientID.String(), 1) + "/apps/approval",
				Body: `{"app_ids":["` + storetest.OtherAppID.String() + `"]}`,
			})
			sendWithinDelay(t, s.Client, http.StatusOK, servertest.Request{Method: http.MethodPatch, Target: otherPath, Body: `{"license_count":6}`})
			if got.Header.Get("ETag") == tag {
				t.Error("the conditional patch did not write")
			}
		}
		release()
		all.Wait()
	})
}

// A write that waits too long for a lock gets 503 before the database timeout: PostgreSQL's lock timeout has rolled it back.
func TestLockedRowIsUnavailable(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, storetest.Postgres(t))
	tag := s.Get(t, appPath).Header.Get("ETag")
	defer holdRow(t, s)()
	for _, r := range []servertest.Request{
		{Method: http.MethodPost, Target: clientPath + "/apps/approval", Body: bulkBody},
		{Method: http.MethodDelete, Target: appPath},
		{Method: http.MethodPatch, Target: appPath, Body: `{"license_count":5}`, Header: []string{"If-Match: " + tag}},
	} {
		got := s.Send(t, r)
		if got.Status != http.StatusServiceUnavailable || got.Body != unavailable+"\n" || got.Header.Get("Retry-After") != "1" {
			t.Errorf("%s %s: %d %v %s", r.Method, r.Target, got.Status, got.Header, got.Body)
		}
		lines := s.Log.Requests(t)
		if line := lines[len(lines)-1]; line["cause"] != "lock" {
			t.Errorf("%s %s: log: %v", r.Method, r.Target, line)
		}
	}
}
