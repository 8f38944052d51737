// Package servertest runs the real server on a real database for tests. Its Client checks every response against the contract.
package servertest

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/apitoken"
	"github.com/clientapps/clientapps/store/storetest"
	"github.com/clientapps/clientapps/webhook"
)

// Server is a server on loopback whose database holds storetest.Page. Its clock stays at storetest.Now until the test sets it.
type Server struct {
	*Client // its token covers all clients and has all scopes

	Server *server.Server
	Store  *store.Store
	Clock  *storetest.Clock
	Log    *Log
	Actor  store.Token // the Client's token, as the change history names it

	DatabaseURL string
}

// Each runs the test on SQLite and on PostgreSQL, each time with its own server and database.
func Each(t *testing.T, test func(t *testing.T, s *Server), configure ...func(*server.Config)) {
	t.Helper()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		test(t, New(t, url, configure...))
	})
}

// New starts a server on a migrated database and stops it when the test ends. configure may change its configuration.
func New(t testing.TB, databaseURL string, configure ...func(*server.Config)) *Server {
	t.Helper()
	s := &Server{Clock: &storetest.Clock{}, Log: &Log{}, DatabaseURL: databaseURL}
	s.Store = storetest.Open(t, databaseURL, func(c *store.Config) { c.Clock = s.Clock.Now })
	if err := s.Store.Seed(t.Context(), storetest.Page()); err != nil {
		t.Fatalf("seed: %v", err)
	}
	cfg := server.Config{Store: s.Store, Logger: s.Log.Logger(), Clock: s.Clock.Now, DatabaseTimeout: 30 * time.Second, Webhooks: Webhooks(t)}
	for _, c := range configure {
		c(&cfg)
	}
	var err error
	if s.Server, err = server.New(cfg); err != nil {
		t.Fatalf("new server: %v", err)
	}
	var served atomic.Int64
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		s.Server.ServeHTTP(w, r)
	}))
	s.Client = &Client{URL: listener.URL}
	s.Client.Token, s.Actor = s.NewToken(t, store.Token{
		Name: "everything", AllClients: true, Scopes: strings.Join(server.Scopes(), " "),
	})
	t.Cleanup(func() {
		listener.Close() // waits for requests in flight
		// The line of this last request counts the lines that were left out.
		s.Server.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, "/healthz", http.NoBody))
		s.Log.check(t, int(served.Load())+1)
	})
	return s
}

// Webhooks returns a configuration for receivers on loopback.
func Webhooks(t testing.TB) webhook.Config {
	t.Helper()
	keys, err := webhook.ParseKeys([]string{base64.StdEncoding.EncodeToString(make([]byte, 32))})
	if err != nil {
		t.Fatal(err)
	}
	return webhook.Config{Keys: keys, AllowLoopback: true, PollInterval: 5 * time.Millisecond}
}

// NewToken stores a token and returns it with its secret, which must not appear in the log.
func (s *Server) NewToken(t testing.TB, token store.Token) (secret string, stored store.Token) {
	t.Helper()
	secret, err := apitoken.New()
	if err != nil {
		t.Fatal(err)
	}
	if stored, err = s.Store.CreateToken(t.Context(), nil, secret, token); err != nil {
		t.Fatalf("create token %s: %v", token.Name, err)
	}
	s.Log.Forbid(secret)
	return secret, stored
}

// SetTime sets the server's clock.
func (s *Server) SetTime(to time.Time) { s.Clock.Advance(to.Sub(s.Clock.Now())) }
