package client_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/client"
	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// The reference page's client and app.
var (
	contoso = storetest.ClientID
	slack   = storetest.AppID
)

// each runs the test on both databases, with a client of a server of its own.
func each(t *testing.T, test func(t *testing.T, c *client.ClientWithResponses, s *servertest.Server)) {
	t.Helper()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		test(t, newClient(t, s, s.Token), s)
	})
}

func newClient(t *testing.T, s *servertest.Server, token string, options ...client.ClientOption) *client.ClientWithResponses {
	t.Helper()
	c, err := client.New(s.URL+"/v2", token, options...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The server that the examples talk to, and a token for it.
var baseURL, token string

func TestMain(m *testing.M) {
	stop, err := serveExamples(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := storetest.Main(m)
	stop()
	os.Exit(code)
}

func serveExamples(ctx context.Context) (stop func(), err error) {
	dir, err := os.MkdirTemp("", "clientapps")
	if err != nil {
		return nil, err
	}
	s, err := store.Open(store.Config{URL: "sqlite://" + filepath.Join(dir, "example.db")})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(s.Migrate(ctx), s.Seed(ctx, storetest.Page())); err != nil {
		return nil, err
	}
	if token, err = store.NewTokenSecret(); err != nil {
		return nil, err
	}
	all := store.Token{Name: "example", AllClients: true, Scopes: strings.Join(server.Scopes(), " ")}
	if _, err := s.CreateToken(ctx, token, all); err != nil {
		return nil, err
	}
	srv, err := server.New(server.Config{Store: s, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	listener := httptest.NewServer(srv)
	baseURL = listener.URL + "/v2"
	return func() {
		listener.Close()
		_ = s.Close()
		_ = os.RemoveAll(dir)
	}, nil
}
