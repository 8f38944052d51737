package server_test

import (
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/apitoken"
	"github.com/clientapps/clientapps/store/storetest"
)

// flood sends 1,200 concurrent requests, each with a different unknown token. wait returns their number and how many were not
// answered with 401.
func flood(t *testing.T, s *servertest.Server, client *http.Client) (wait func() (sent, other int64)) {
	t.Helper()
	const atOnce = 1200
	var other atomic.Int64
	var all sync.WaitGroup
	start := make(chan struct{})
	for range atOnce {
		secret, err := apitoken.New()
		if err != nil {
			t.Fatal(err)
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+appPath, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+secret)
		all.Go(func() {
			<-start
			answer, err := client.Do(request)
			if err != nil {
				t.Error(err)
				return
			}
			_ = answer.Body.Close()
			if answer.StatusCode != http.StatusUnauthorized {
				other.Add(1)
			}
		})
	}
	close(start)
	return func() (int64, int64) {
		all.Wait()
		return atOnce, other.Load()
	}
}

// A flood of well-formed unknown tokens does not delay valid tokens: cached ones, uncached ones, and ones that were just created.
// It costs a bounded number of log lines and fewer statements than tokens.
func TestUnknownTokensDoNotStarveGoodOnes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		s := servertest.New(t, url, func(c *server.Config) { c.MaxInFlight = 64 }) // far fewer places than unknown tokens
		newClient := func() *servertest.Client {
			secret, _ := s.NewToken(t, store.Token{Name: "good", AllClients: true, Scopes: "apps:read"})
			return &servertest.Client{URL: s.URL, Token: secret}
		}
		const rounds = 4
		var unseen []*servertest.Client
		for range rounds {
			unseen = append(unseen, newClient())
		}
		if got := s.Get(t, appPath); got.Status != 200 {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
		before := s.Store.Stats().Tokens
		var took []time.Duration
		get := func(what string, client *servertest.Client) {
			begun := time.Now()
			if got := client.Get(t, appPath); got.Status != 200 {
				t.Errorf("%s: %d %s", what, got.Status, got.Body)
			}
			took = append(took, time.Since(begun))
		}
		flooder := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1200}}
		defer flooder.CloseIdleConnections()
		var sent, other int64
		for i := range rounds {
			wait := flood(t, s, flooder)
			for range 3 {
				get("a token that is remembered", s.Client)
			}
			get("a token that was not seen yet", unseen[i])
			get("a token that was made just now", newClient())
			n, not401 := wait()
			sent, other = sent+n, other+not401
		}
		if other > 0 {
			t.Errorf("%d of %d unknown tokens were not answered 401", other, sent)
		}
		slices.Sort(took)
		t.Logf("%d unknown tokens; a good token waited p50 %v, max %v", sent, took[len(took)/2], took[len(took)-1])
		if most := took[len(took)-1]; most > 5*time.Second { // generous: the flood and the server share this process
			t.Errorf("the slowest good token waited %v", most)
		}
		after := s.Store.Stats().Tokens
		if statements := int64(after.Statements - before.Statements); statements > sent*3/4 || after.Refused != 0 {
			t.Errorf("%d statements for %d tokens, %d refused", statements, sent, after.Refused)
		} else {
			t.Logf("%d statements", statements)
		}
		refusals := 0
		for _, line := range s.Log.Requests(t) {
			if line["status"] == 401.0 {
				refusals++
			}
		}
		if refusals != 100 || len(failures(t, s)) != 100 {
			t.Errorf("%d lines of requests and %d of failures, of %d; want 100 of each", refusals, len(failures(t, s)), sent)
		}
	})
}

// The next log line counts the refusals without a token that were left out.
func TestRefusalsOfNobodyAreCounted(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, storetest.SQLite(t))
	anonymous := &servertest.Client{URL: s.URL}
	for range 150 {
		anonymous.Get(t, appPath)
		anonymous.Get(t, "/nowhere")
	}
	if lines := s.Log.Requests(t); len(lines) != 100 {
		t.Errorf("%d lines", len(lines))
	}
	s.Get(t, appPath)
	s.Get(t, appPath)
	anonymous.Get(t, "/healthz")
	lines := s.Log.Requests(t)[100:]
	if len(lines) != 3 || lines[0]["not_logged"] != 200.0 || lines[1]["not_logged"] != nil || lines[2]["not_logged"] != nil {
		t.Errorf("%v", lines)
	}
	s.Clock.Advance(time.Second)
	anonymous.Get(t, appPath)
	if lines := s.Log.Requests(t); len(lines) != 104 {
		t.Errorf("%d lines after a second", len(lines))
	}
}
