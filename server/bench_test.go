package server_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/apitoken"
	"github.com/clientapps/clientapps/store/storetest"
)

func BenchmarkUpdateApp(b *testing.B) {
	patch := newPatcher(b)
	b.ReportAllocs()
	for b.Loop() {
		patch.send(b)
	}
}

// patcher sends patches to the server on PostgreSQL, with the request log and the change history. Every patch changes the app. It
// reuses its request and its response writer, so that only the server allocates.
type patcher struct {
	server  *server.Server
	request *http.Request
	bodies  [2]reusedBody
	answer  reusedAnswer
	sent    int
}

func newPatcher(t testing.TB) *patcher {
	t.Helper()
	s := storetest.Open(t, storetest.Postgres(t))
	if err := s.Seed(t.Context(), storetest.Page()); err != nil {
		t.Fatal(err)
	}
	secret, _ := apitoken.New()
	if _, err := s.CreateToken(t.Context(), nil, secret, store.Token{Name: "x", AllClients: true, Scopes: "apps:write"}); err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(server.Config{Store: s, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	path := "/v2/clients/" + storetest.ClientID.String() + "/apps/" + storetest.AppID.String()
	p := &patcher{
		server:  srv,
		request: httptest.NewRequestWithContext(t.Context(), http.MethodPatch, path, nil),
		bodies:  [2]reusedBody{{bytes.NewReader([]byte(`{"license_count":51}`))}, {bytes.NewReader([]byte(`{"license_count":52}`))}},
		answer:  reusedAnswer{header: http.Header{}},
	}
	p.request.Header.Set("Content-Type", "application/json")
	p.request.Header.Set("Authorization", "Bearer "+secret)
	p.request.Header.Set("User-Agent", "test")
	return p
}

func (p *patcher) send(t testing.TB) {
	t.Helper()
	b := &p.bodies[p.sent%2]
	p.sent++
	_, _ = b.Seek(0, io.SeekStart) // offset 0 always exists
	p.request.Body, p.request.ContentLength = b, b.Size()
	p.answer.reset()
	p.server.ServeHTTP(&p.answer, p.request)
	if p.answer.status != http.StatusOK {
		t.Fatalf("status %d: %s", p.answer.status, p.answer.body.Bytes())
	}
}

type reusedBody struct{ *bytes.Reader }

func (reusedBody) Close() error { return nil }

// reusedAnswer is a response writer that can be used again.
type reusedAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *reusedAnswer) reset() {
	clear(a.header)
	a.status = 0
	a.body.Reset()
}

func (a *reusedAnswer) Header() http.Header { return a.header }

func (a *reusedAnswer) WriteHeader(status int) { a.status = status }

func (a *reusedAnswer) Write(text []byte) (int, error) { return a.body.Write(text) }
