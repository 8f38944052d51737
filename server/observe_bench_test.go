package server_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/apitoken"
	"github.com/clientapps/clientapps/store/storetest"
)

// BenchmarkMetrics measures the cost of metrics: it sends the same requests alternately to two servers, with metrics and without.
// The requests are refused before they reach the database, so that this cost is the largest share.
func BenchmarkMetrics(b *testing.B) {
	benchmarkObserved(b, func(c *server.Config) { c.Metrics = prometheus.NewRegistry() })
}

func benchmarkObserved(b *testing.B, observe func(*server.Config)) {
	b.Helper()
	s := storetest.Open(b, storetest.SQLite(b))
	if err := s.Seed(b.Context(), storetest.Page()); err != nil {
		b.Fatal(err)
	}
	secret, _ := apitoken.New()
	if _, err := s.CreateToken(b.Context(), nil, secret, store.Token{Name: "x", AllClients: true, Scopes: "apps:read apps:write"}); err != nil {
		b.Fatal(err)
	}
	var servers [2]*server.Server
	for i := range servers {
		cfg := server.Config{Store: s, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
		if i == 1 {
			observe(&cfg)
		}
		var err error
		if servers[i], err = server.New(cfg); err != nil {
			b.Fatal(err)
		}
	}
	for _, request := range []struct {
		name, method, body string
		status             int
	}{
		{"refused", "PATCH", `{"is_favorite":1}`, http.StatusBadRequest},
		{"read", "GET", "", http.StatusOK},
	} {
		b.Run(request.name, func(b *testing.B) {
			var took [2]time.Duration
			for b.Loop() {
				for i, srv := range servers {
					start := time.Now()
					for range 100 {
						r := httptest.NewRequestWithContext(b.Context(), request.method, appPath, strings.NewReader(request.body))
						r.Header.Set("Content-Type", "application/json")
						r.Header.Set("Authorization", "Bearer "+secret)
						w := httptest.NewRecorder()
						srv.ServeHTTP(w, r)
						if w.Code != request.status {
							b.Fatal(w.Body.String())
						}
					}
					took[i] += time.Since(start)
				}
			}
			b.ReportMetric(float64(took[0].Nanoseconds())/float64(100*b.N), "ns-off")
			b.ReportMetric(float64(took[1].Nanoseconds())/float64(100*b.N), "ns-on")
			b.ReportMetric(float64(took[1])/float64(took[0]), "on/off")
		})
	}
}
