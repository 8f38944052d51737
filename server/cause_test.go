package server_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// causesOf counts the refused requests in the log by cause.
func causesOf(t *testing.T, s *servertest.Server) map[string]float64 {
	t.Helper()
	found := map[string]float64{}
	for _, line := range s.Log.Requests(t) {
		if cause, ok := line["cause"].(string); ok {
			found[`{cause="`+cause+`"}`]++
		}
	}
	return found
}

// wantCauses checks that the log and the metrics agree and have exactly these causes.
func wantCauses(t *testing.T, s *servertest.Server, registry *prometheus.Registry, want ...string) {
	t.Helper()
	logged := causesOf(t, s)
	wantMetric(t, registry, "clientapps_http_refused_total", logged)
	for _, cause := range want {
		if logged[`{cause="`+cause+`"}`] == 0 {
			t.Errorf("no request was refused with cause %s: %v", cause, logged)
		}
	}
}

// The log and the metrics name the cause of a refusal: the rate limit, the capacity of the server, or the database.
func TestCausesOfTheServer(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	s := servertest.New(t, storetest.SQLite(t), withMetrics(registry), func(c *server.Config) {
		c.MaxInFlight, c.RateLimit, c.RateBurst = 2, 1, 2
	})
	newClient := func(name string) *servertest.Client {
		secret, _ := s.NewToken(t, store.Token{Name: name, AllClients: true, Scopes: strings.Join(server.Scopes(), " ")})
		return &servertest.Client{URL: s.URL, Token: secret}
	}
	first, second, third := newClient("first"), newClient("second"), newClient("third")
	refused := func(as *servertest.Client, status int) {
		t.Helper()
		if got := as.Get(t, appPath); got.Status != status {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	}
	leaveFirst := occupy(t, first)
	refused(first, 503)
	leaveSecond := occupy(t, second)
	refused(third, 503)
	leaveFirst()
	leaveSecond()
	eventually(t, func() bool { return third.Get(t, appPath).Status == http.StatusTooManyRequests })
	wantCauses(t, s, registry, "places", "token_places", "rate")
}

// While the server shuts down, the cause is "stopping".
func TestCauseOfADrainingServer(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	r := run(t, time.Minute, withMetrics(registry), func(c *server.Config) { c.DrainDelay = time.Minute })
	r.stop()
	eventually(t, func() bool { return r.client.Get(t, "/readyz").Status == http.StatusServiceUnavailable })
	wantCauses(t, r.Server, registry, "stopping")
}

// The log and the metrics distinguish three causes: waiting for a connection, for the database itself, and for other writes of
// the same client.
func TestCausesOfTheDatabase(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		registry := prometheus.NewRegistry()
		s := servertest.New(t, url, withMetrics(registry), func(c *server.Config) { c.DatabaseTimeout = time.Second })
		s.Get(t, appPath)
		unlock := lockApps(t, storetest.SQL(t, url), url)
		defer unlock()
		var all sync.WaitGroup
		send := func(method, target, body string, status int) {
			all.Go(func() {
				if got := s.Send(t, servertest.Request{Method: method, Target: target, Body: body}); got.Status != status {
					t.Errorf("%s %s: %d %s", method, target, got.Status, got.Body)
				}
			})
		}
		reading := http.StatusOK // SQLite's readers do not wait for a writer
		if strings.HasPrefix(url, "postgres") {
			reading = http.StatusServiceUnavailable
		}
		for range 40 { // more than the pool has connections
			// Behind a pooler, writes of a single statement that time out are in doubt.
			for _, client := range []string{clientID, storetest.OtherClientID.String()} {
				body := `{"updates":[{"id":"` + appID + `","is_favorite":true}]}`
				send("PATCH", "/v2/clients/"+client+"/apps?atomic=true", body, http.StatusServiceUnavailable)
			}
			send("GET", appPath, "", reading)
		}
		all.Wait()
		wantCauses(t, s, registry, "share", "pool")
		// SQLite has one write connection: a request that waits for the lock on the file occupies it.
		if logged := causesOf(t, s); strings.HasPrefix(url, "postgres") && logged[`{cause="database"}`]+logged[`{cause="lock"}`] == 0 {
			t.Errorf("no request waited for the database itself: %v", logged)
		}
	})
}
