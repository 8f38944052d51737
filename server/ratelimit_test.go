package server_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

const limited = `{"error":{"code":"rate_limited","message":"Too many requests"}}`

// withLimit runs a test on both databases, with a rate limit.
func withLimit(t *testing.T, rate, burst int, test func(t *testing.T, s *servertest.Server)) {
	t.Helper()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		test(t, servertest.New(t, url, func(c *server.Config) { c.RateLimit, c.RateBurst = rate, burst }))
	})
}

// A burst is served at once, then requests get 429 until the next one is earned. Refused requests do not count.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	withLimit(t, 2, 3, func(t *testing.T, s *servertest.Server) {
		get := func(status int, remaining string) *servertest.Response {
			t.Helper()
			got := s.Get(t, appPath)
			if got.Status != status || got.Header.Get("RateLimit") != remaining || got.Header.Get("RateLimit-Policy") != `"default";q=3;w=2` {
				t.Fatalf("%d %v %s, want %d %s", got.Status, got.Header, got.Body, status, remaining)
			}
			return got
		}
		get(200, `"default";r=2;t=1`)
		get(200, `"default";r=1;t=1`)
		get(200, `"default";r=0;t=1`)
		for range 5 {
			if got := get(429, `"default";r=0;t=1`); got.Body != limited+"\n" || got.Header.Get("Retry-After") != "1" || got.Header.Get("ETag") != "" {
				t.Errorf("%v %s", got.Header, got.Body)
			}
		}
		s.Clock.Advance(499 * time.Millisecond)
		get(429, `"default";r=0;t=1`)
		s.Clock.Advance(time.Millisecond)
		get(200, `"default";r=0;t=1`)
		get(429, `"default";r=0;t=1`)
		s.Clock.Advance(time.Hour)
		get(200, `"default";r=2;t=1`)
		// Every request counts, whatever its answer, and has the RateLimit header.
		if got := s.Get(t, appPath+"?x=1"); got.Status != 400 || got.Header.Get("RateLimit") != `"default";r=1;t=1` {
			t.Errorf("%d %v", got.Status, got.Header)
		}
		if got := s.Send(t, servertest.Request{Method: http.MethodHead, Target: appPath}); got.Header.Get("RateLimit") != `"default";r=0;t=1` {
			t.Errorf("%d %v", got.Status, got.Header)
		}
	})
}

// Without a limit no answer has the RateLimit headers.
func TestNoRateLimit(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, storetest.SQLite(t))
	for range 100 {
		got := s.Get(t, appPath)
		if got.Status != 200 || got.Header["Ratelimit"] != nil || got.Header["Ratelimit-Policy"] != nil {
			t.Fatalf("%d %v", got.Status, got.Header)
		}
	}
}

// Each token has a limit for each client. The letter case of a client id does not matter. Operations without a client share one
// limit.
func TestRateLimitIsPerTokenAndClient(t *testing.T) {
	t.Parallel()
	withLimit(t, 1, 1, func(t *testing.T, s *servertest.Server) {
		secret, _ := s.NewToken(t, store.Token{Name: "second", AllClients: true, Scopes: strings.Join(server.Scopes(), " ")})
		second := &servertest.Client{URL: s.URL, Token: secret}
		for i, step := range []struct {
			as     *servertest.Client
			target string
			status int
		}{
			{s.Client, appPath, 200},
			{s.Client, appPath, 429},
			{s.Client, clientPath + "/apps", 429},
			{s.Client, strings.Replace(appPath, clientID, strings.ToUpper(clientID), 1), 429},
			{s.Client, otherPath, 200},
			{s.Client, otherPath, 429},
			{s.Client, "/v2/catalog-apps", 200},
			{s.Client, "/v2/clients", 429},
			{second, appPath, 200},
			{second, "/v2/clients", 200},
			{second, appPath, 429},
			{s.Client, pathOf(nilID, appID), 429}, // the path has no valid client
			{s.Client, "/v2/clients/x/apps", 429},
			{s.Client, "/healthz", 200},
			{s.Client, "/readyz", 200},
			{s.Client, "/openapi.json", 200},
			{s.Client, "/nowhere", 404},
		} {
			if got := step.as.Get(t, step.target); got.Status != step.status {
				t.Errorf("step %d, %s: %d %s", i, step.target, got.Status, got.Body)
			}
		}
	})
}

// However many requests one token sends, a token within its limit is never refused.
func TestOneTokenDoesNotStarveAnother(t *testing.T) {
	t.Parallel()
	withLimit(t, 10, 10, func(t *testing.T, s *servertest.Server) {
		secret, _ := s.NewToken(t, store.Token{Name: "greedy", AllClients: true, Scopes: "apps:read"})
		greedy := &servertest.Client{URL: s.URL, Token: secret}
		served := 0
		for range 50 {
			for range 20 {
				if greedy.Get(t, appPath).Status == http.StatusOK {
					served++
				}
			}
			if got := s.Get(t, appPath); got.Status != http.StatusOK {
				t.Fatalf("%d %v", got.Status, got.Header)
			}
			s.Clock.Advance(100 * time.Millisecond)
		}
		if served != 10+49 {
			t.Errorf("the token beyond its limit was served %d times in five seconds", served)
		}
	})
}

// Every operation is limited after authentication and authorization and before validation. A refused request writes nothing, and
// a client that waits for Retry-After is served.
func TestEveryOperationIsLimited(t *testing.T) {
	t.Parallel()
	withLimit(t, 1, 1, func(t *testing.T, s *servertest.Server) {
		f := newFixture(t, s)
		withNewEntry(t, s)
		for name, r := range requests {
			before := f.content(t)
			empty := "/v2/catalog-apps/summary"
			if client := strings.Split(r.target+"/", "/")[3]; strings.HasPrefix(r.target, "/v2/clients/") {
				empty = "/v2/clients/" + client + "/apps"
			}
			s.Clock.Advance(time.Hour)
			if got := s.Get(t, empty); got.Status != 200 {
				t.Fatalf("%d %s", got.Status, got.Body)
			}
			wait := 0
			for _, fault := range []servertest.Request{
				{},
				{Target: r.target + "?x=1"},
				{Header: []string{"Content-Type: text/plain", "Accept: text/html", "If-Match: x"}},
				{Body: strings.Repeat("x", 1<<20+1)},
				{Body: "["},
			} {
				fault.Method, fault.Target = r.method, or(fault.Target, r.target)
				if r.body == "" {
					fault.Body = ""
				} else {
					fault.Body = or(fault.Body, r.body)
				}
				got := s.SendBoth(t, fault)
				if got.Status != 429 || got.Body != limited+"\n" || got.Header.Get("RateLimit") != `"default";r=0;t=1` {
					t.Errorf("%s: %d %v %s", name, got.Status, got.Header, got.Body)
				}
				wait, _ = strconv.Atoi(got.Header.Get("Retry-After"))
			}
			for as, status := range map[string]int{"anonymous": 401, "expired": 401, "scopeless": 403} {
				got := f.clients[as].Send(t, servertest.Request{Method: r.method, Target: r.target, Body: r.body})
				if got.Status != status || got.Header["Ratelimit"] != nil {
					t.Errorf("%s by %s: %d %v", name, as, got.Status, got.Header)
				}
			}
			if after := f.content(t); after != before {
				t.Errorf("%s wrote:\n%s\nbefore:\n%s", name, after, before)
			}
			s.Clock.Advance(time.Duration(wait) * time.Second)
			got := s.Send(t, servertest.Request{Method: r.method, Target: r.target, Body: r.body})
			if got.Status == 429 || got.Header.Get("RateLimit") != `"default";r=0;t=1` {
				t.Errorf("%s after %d seconds: %d %v", name, wait, got.Status, got.Header)
			}
		}
	})
}

// A bulk operation counts as one request, and so does a 304.
func TestWhatCountsAsOneRequest(t *testing.T) {
	t.Parallel()
	withLimit(t, 1, 3, func(t *testing.T, s *servertest.Server) {
		tag := s.Get(t, appPath).Header.Get("ETag")
		ids := make([]string, 1000)
		for i := range ids {
			ids[i] = fmt.Sprintf("%q", uuid.New())
		}
		bulk := s.Send(t, servertest.Request{
			Method: http.MethodPost, Target: clientPath + "/apps/favorites", Body: `{"app_ids":[` + strings.Join(ids, ",") + `]}`,
		})
		if bulk.Status != 200 || bulk.Header.Get("RateLimit") != `"default";r=1;t=1` {
			t.Errorf("%d %v", bulk.Status, bulk.Header)
		}
		same := s.Send(t, servertest.Request{Method: http.MethodGet, Target: appPath, Header: []string{"If-None-Match: " + tag}})
		if same.Status != 304 || same.Header.Get("RateLimit") != `"default";r=0;t=1` {
			t.Errorf("%d %v", same.Status, same.Header)
		}
	})
}
