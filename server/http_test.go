package server_test

import (
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/apitoken"
	"github.com/clientapps/clientapps/store/storetest"
)

// serve starts a server with the reference page's client and app. The first token has all scopes, the second only apps:read.
func serve(t *testing.T, databaseURL string) (address, token, reader string) {
	t.Helper()
	s := storetest.Open(t, databaseURL)
	data := storetest.Page()
	data.Clients = append(data.Clients, store.Client{
		ID: id(suspendedClient), Name: "Litware, Inc.", Status: store.StatusSuspended, CreatedAt: storetest.Now, UpdatedAt: storetest.Now,
	})
	if err := s.Seed(t.Context(), data); err != nil {
		t.Fatal(err)
	}
	secret := func(scopes ...string) string {
		text, err := apitoken.New()
		if err != nil {
			t.Fatal(err)
		}
		token := store.Token{Name: "test", AllClients: true, Scopes: strings.Join(scopes, " ")}
		if _, err := s.CreateToken(t.Context(), nil, text, token); err != nil {
			t.Fatal(err)
		}
		return text
	}
	handler, err := server.New(server.Config{Store: s, Logger: slog.New(slog.DiscardHandler), Webhooks: servertest.Webhooks(t)})
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(handler)
	t.Cleanup(listener.Close)
	return listener.URL, secret(server.Scopes()...), secret("apps:read")
}

type answer struct {
	status int
	header http.Header
	body   string
}

func send(t *testing.T, method, url string, header http.Header, body string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(request.Header, header)
	request.Header.Set("Accept-Encoding", "identity") // another content coding has another ETag
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(text)}
}
