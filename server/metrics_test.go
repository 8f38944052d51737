package server_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/schemas"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

func withMetrics(registry *prometheus.Registry) func(*server.Config) {
	return func(c *server.Config) { c.Metrics = registry }
}

// scrape returns the series of one metric in a registry: the value by labels, which are written {name="value",…}.
func scrape(t *testing.T, registry *prometheus.Registry, metric string) map[string]float64 {
	t.Helper()
	w := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	found := map[string]float64{}
	for line := range strings.Lines(w.Body.String()) {
		series, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		labels, ok := strings.CutPrefix(series, metric)
		if !ok || labels != "" && labels[0] != '{' {
			continue
		}
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		found[labels] = value
	}
	return found
}

func nonzero(values map[string]float64) map[string]float64 {
	maps.DeleteFunc(values, func(_ string, v float64) bool { return v == 0 })
	return values
}

func wantMetric(t *testing.T, registry *prometheus.Registry, metric string, want map[string]float64) {
	t.Helper()
	if got := nonzero(scrape(t, registry, metric)); !maps.Equal(got, want) {
		t.Errorf("%s is %v, want %v", metric, got, want)
	}
}

// Each request is counted once, by its operation and the status that was sent, even if middleware refused it.
func TestMetricsOfRequests(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	s := servertest.New(t, storetest.SQLite(t), withMetrics(registry))
	anonymous := &servertest.Client{URL: s.URL}
	patched := s.Patch(t, appPath, `{"is_favorite":true}`)
	bytes := map[string]float64{
		`{operation="updateApp"}`: float64(len(patched.Body) + len(s.Patch(t, appPath, `{"is_favorite":1}`).Body) +
			len(anonymous.Patch(t, appPath, `{"is_favorite":true}`).Body)),
		`{operation="getApp"}`: float64(len(s.Get(t, appPath).Body)),
		`{operation="other"}`: float64(len(s.Get(t, "/nowhere").Body) + len(s.Get(t, "/healthz").Body) +
			len(s.Send(t, servertest.Request{Method: "DELETE", Target: "/v2/catalog-apps"}).Body)),
	}
	s.Send(t, servertest.Request{Method: "HEAD", Target: appPath})
	s.Send(t, servertest.Request{Method: "GET", Target: appPath, Header: []string{"If-None-Match: " + patched.Header.Get("ETag")}})
	s.Send(t, servertest.Request{Method: "OPTIONS", Target: appPath})
	wantMetric(t, registry, "clientapps_http_requests_total", map[string]float64{
		`{operation="updateApp",status="200"}`: 1,
		`{operation="updateApp",status="400"}`: 1,
		`{operation="updateApp",status="401"}`: 1,
		`{operation="getApp",status="200"}`:    2, // GET and HEAD
		`{operation="getApp",status="304"}`:    1,
		`{operation="other",status="200"}`:     1,
		`{operation="other",status="204"}`:     1,
		`{operation="other",status="404"}`:     1,
		`{operation="other",status="405"}`:     1,
	})
	wantMetric(t, registry, "clientapps_http_request_duration_seconds_count", map[string]float64{
		`{operation="updateApp",status_class="2xx"}`: 1,
		`{operation="updateApp",status_class="4xx"}`: 2,
		`{operation="getApp",status_class="2xx"}`:    2,
		`{operation="getApp",status_class="3xx"}`:    1,
		`{operation="other",status_class="2xx"}`:     2,
		`{operation="other",status_class="4xx"}`:     2,
	})
	wantMetric(t, registry, "clientapps_http_response_bytes_total", bytes)
}

// The histogram of durations has each request in the buckets from its duration on, and its sum is the time that requests took.
func TestMetricsOfDuration(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	s := servertest.New(t, storetest.SQLite(t), withMetrics(registry))
	const least = 60 * time.Millisecond // longer than some buckets
	s.Server.Handle("/slow", func(c echo.Context) error {
		time.Sleep(least)
		return c.NoContent(http.StatusNoContent)
	})
	start := time.Now()
	for range 2 {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/slow", nil)
		s.Server.ServeHTTP(httptest.NewRecorder(), r)
	}
	most := time.Since(start).Seconds()
	const labels = `operation="other",status_class="2xx"`
	sum := scrape(t, registry, "clientapps_http_request_duration_seconds_sum")["{"+labels+"}"]
	if sum < 2*least.Seconds() || sum > most {
		t.Errorf("the sum is %v seconds, want %v to %v", sum, 2*least.Seconds(), most)
	}
	buckets := scrape(t, registry, "clientapps_http_request_duration_seconds_bucket")
	for series, count := range buckets {
		text, ok := strings.CutPrefix(series, "{"+labels+`,le="`)
		if !ok {
			continue
		}
		bound, err := strconv.ParseFloat(strings.TrimSuffix(text, `"}`), 64)
		if err != nil {
			t.Fatal(err)
		}
		if bound < least.Seconds() && count != 0 || bound >= most && count != 2 {
			t.Errorf("the bucket up to %v seconds has %v requests", bound, count)
		}
	}
	if inf := buckets["{"+labels+`,le="+Inf"}`]; inf != 2 {
		t.Errorf("the histogram has %v requests, want 2", inf)
	}
}

// A client that disconnects is counted with status 499, although nothing was sent.
func TestMetricsOfDisconnectedClient(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	s := servertest.New(t, storetest.SQLite(t), withMetrics(registry))
	s.Get(t, appPath) // caches the token
	ctx, disconnect := context.WithCancel(t.Context())
	disconnect()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, appPath, nil)
	r.Header.Set("Authorization", "Bearer "+s.Token)
	s.Server.ServeHTTP(httptest.NewRecorder(), r)
	wantMetric(t, registry, "clientapps_http_requests_total", map[string]float64{
		`{operation="getApp",status="200"}`: 1, `{operation="getApp",status="499"}`: 1,
	})
}

// A rate needs a first value, so every documented status has a series from the start.
func TestMetricsShowEveryDocumentedStatus(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	servertest.New(t, storetest.SQLite(t), withMetrics(registry))
	requests, times := scrape(t, registry, "clientapps_http_requests_total"), scrape(t, registry, "clientapps_http_request_duration_seconds_count")
	doc, err := schemas.Contract()
	if err != nil {
		t.Fatal(err)
	}
	documented := 0
	for _, path := range doc.Paths.Map() {
		for _, o := range path.Operations() {
			for status := range o.Responses.Map() {
				documented++
				if v, ok := requests[fmt.Sprintf("{operation=%q,status=%q}", o.OperationID, status)]; !ok || v != 0 {
					t.Errorf("%s has no series for status %s", o.OperationID, status)
				}
				if v, ok := times[fmt.Sprintf("{operation=%q,status_class=%q}", o.OperationID, status[:1]+"xx")]; !ok || v != 0 {
					t.Errorf("%s has no duration for status %s", o.OperationID, status)
				}
			}
		}
	}
	if len(requests) <= documented || len(requests) > documented+10 || documented == 0 { // the rest are requests without an operation
		t.Errorf("%d series for %d statuses", len(requests), documented)
	}
}

func TestMetricsInFlight(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	r := run(t, time.Minute, withMetrics(registry))
	conn := r.dial(t)
	get(t, conn, "/slow")
	<-r.reached
	wantMetric(t, registry, "clientapps_http_requests_in_flight", map[string]float64{"": 1})
	close(r.release)
	eventually(t, func() bool { return len(nonzero(scrape(t, registry, "clientapps_http_requests_in_flight"))) == 0 })
	r.stop()
	if err := <-r.stopped; err != nil {
		t.Error(err)
	}
}

// The store's metrics show its current state.
func TestMetricsOfTheStore(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		registry := prometheus.NewRegistry()
		fresh := storetest.Open(t, s.DatabaseURL, func(c *store.Config) { c.Clock = s.Clock.Now })
		measured, err := server.New(server.Config{Store: fresh, Logger: slog.New(slog.DiscardHandler), Metrics: registry})
		if err != nil {
			t.Fatal(err)
		}
		if got := scrape(t, registry, "clientapps_catalog_apps"); len(got) != 0 {
			t.Errorf("the metric of a catalog that is not loaded is %v", got)
		}
		for _, method := range []string{"GET", "GET", "GET", "PATCH"} {
			r := httptest.NewRequestWithContext(t.Context(), method, appPath, strings.NewReader(`{"is_favorite":true}`))
			r.Header.Set("Authorization", "Bearer "+s.Token)
			r.Header.Set("Content-Type", "application/json")
			measured.ServeHTTP(httptest.NewRecorder(), r)
		}
		stats := fresh.Stats()
		for metric, want := range map[string]map[string]float64{
			"clientapps_catalog_apps":                      {"": 1},
			"clientapps_catalog_revision":                  {"": float64(stats.Catalog.Revision)},
			"clientapps_catalog_loaded_timestamp_seconds":  {"": float64(storetest.Now.Unix())},
			"clientapps_catalog_checked_timestamp_seconds": {"": float64(storetest.Now.Unix())},
			"clientapps_catalog_loads_total":               {"": 1},
			"clientapps_catalog_failures_total":            {},
			"clientapps_token_cache_entries":               {"": 1},
			"clientapps_token_cache_lookups_total":         {`{result="hit"}`: 3, `{result="miss"}`: 1},
			"clientapps_token_statements_total":            {"": 1},
			"clientapps_tokens_refused_total":              {},
			"clientapps_patch_queue_length":                {},
			"clientapps_patch_batches_in_flight":           {},
			"clientapps_patches_refused_total":             {},
			"clientapps_read_queue_length":                 {},
			"clientapps_read_batches_in_flight":            {},
			"clientapps_reads_refused_total":               {},
			"clientapps_client_share_waiting":              {},
			"clientapps_client_share_waits_total":          {},
			"clientapps_client_share_wait_seconds_total":   {},
			"clientapps_db_lock_timeouts_total":            {},
			"clientapps_patch_batch_size_sum":              {"": 1},
			"clientapps_patch_batch_size_bucket": {
				`{le="1"}`: 1, `{le="2"}`: 1, `{le="4"}`: 1, `{le="8"}`: 1, `{le="16"}`: 1, `{le="32"}`: 1, `{le="64"}`: 1, `{le="+Inf"}`: 1,
			},
		} {
			wantMetric(t, registry, metric, want)
		}
		for _, pool := range stats.Pools {
			name := fmt.Sprintf("{pool=%q}", pool.Name)
			if got := scrape(t, registry, "clientapps_db_connections_max")[name]; got != float64(pool.Max) {
				t.Errorf("pool %s: at most %v connections, want %d", pool.Name, got, pool.Max)
			}
			if _, ok := scrape(t, registry, "clientapps_db_connection_waits_total")[name]; !ok {
				t.Errorf("pool %s: no waits", pool.Name)
			}
			if _, ok := scrape(t, registry, "clientapps_db_connections")[fmt.Sprintf("{pool=%q,state=%q}", pool.Name, "idle")]; !ok {
				t.Errorf("pool %s: no connections", pool.Name)
			}
		}
	})
}

// A second server in the same registry would have the same series, so New refuses it.
func TestOneServerPerRegistry(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	s := servertest.New(t, storetest.SQLite(t), withMetrics(registry))
	if _, err := server.New(server.Config{Store: s.Store, Logger: slog.New(slog.DiscardHandler), Metrics: registry}); err == nil {
		t.Error("New accepted a second server")
	}
}
