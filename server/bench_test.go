package server_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

func BenchmarkUpdateApp(b *testing.B) {
	s := storetest.Open(b, storetest.Postgres(b))
	if err := s.Seed(b.Context(), storetest.Page()); err != nil {
		b.Fatal(err)
	}
	secret, _ := store.NewTokenSecret()
	_, err := s.CreateToken(b.Context(), secret, store.Token{Name: "x", AllClients: true, Scopes: "apps:write apps:read"})
	if err != nil {
		b.Fatal(err)
	}
	srv, err := server.New(server.Config{Store: s, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		b.Fatal(err)
	}
	bodies := []string{`{"license_count":1}`, `{"license_count":2}`}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		r := httptest.NewRequestWithContext(b.Context(), http.MethodPatch, "/v2/clients/"+storetest.ClientID.String()+"/apps/"+storetest.AppID.String(), strings.NewReader(bodies[i%2]))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+secret)
		w := httptest.NewRecorder()
		srv.ServeHTTP(w, r)
		if w.Code != 200 {
			b.Fatal(w.Body.String())
		}
	}
}
