package main

import (
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/clientapps/clientapps/store/storetest"
)

var metricsPattern = regexp.MustCompile(`msg=metrics url=(\S+)/metrics\n`)

// startMeasured serves with metrics, and returns the URL of the metrics listener.
func startMeasured(t *testing.T, databaseURL string, args ...string) (s *serving, metrics string) {
	t.Helper()
	s = startServe(t, databaseURL, append(args, "--metrics-addr", "127.0.0.1:0")...)
	found := metricsPattern.FindStringSubmatch(s.stderr.String())
	if found == nil {
		t.Fatalf("no listener for metrics: %s", s.stderr)
	}
	return s, found[1]
}

// fetch sends a GET request for something outside of the API.
func fetch(t *testing.T, url string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		s, metrics := startMeasured(t, url)
		s.Get(t, pageApp)
		status, page := fetch(t, metrics+"/metrics")
		for _, line := range []string{
			`clientapps_http_requests_total{operation="getApp",status="401"} 1`, `clientapps_http_requests_in_flight 0`,
			`clientapps_build_info{goversion="`, `,version="` + programVersion() + `"} 1`, "\ngo_goroutines ", "\nprocess_resident_memory_bytes ",
		} {
			if status != http.StatusOK || !strings.Contains(page, line) {
				t.Errorf("%d, no %s in\n%s", status, line, page)
			}
		}
		problems, err := promlint.New(strings.NewReader(page)).Lint()
		if err != nil {
			t.Error(err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
		// The API listener has no metrics, and the metrics listener has no API.
		if got := s.Get(t, "/metrics"); got.Status != http.StatusNotFound {
			t.Errorf("the API answers %d: %s", got.Status, got.Body)
		}
		for _, path := range []string{"/", "/healthz", pageApp} {
			if status, body := fetch(t, metrics+path); status != http.StatusNotFound {
				t.Errorf("%s on the metrics listener: %d %s", path, status, body)
			}
		}
		if code := s.stop(); code != 0 {
			t.Errorf("exit code %d: %s", code, s.stderr)
		}
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", strings.TrimPrefix(metrics, "http://"))
		if err != nil {
			t.Fatalf("the stopped server still holds its port: %v", err)
		}
		_ = listener.Close()
	})
}

func TestMetricsAddressInUse(t *testing.T) {
	t.Parallel()
	_, metrics := startMeasured(t, storetest.SQLite(t))
	o := command(t, []string{"CLIENTAPPS_DATABASE_URL=" + storetest.SQLite(t)}, "serve", "--addr", "127.0.0.1:0",
		"--metrics-addr", strings.TrimPrefix(metrics, "http://"))
	if o.code != 1 || !strings.Contains(o.stderr, "listen for metrics") || strings.Contains(o.stderr, "msg=serving") {
		t.Errorf("%+v", o)
	}
}

func TestNoMetricsUnlessAsked(t *testing.T) {
	t.Parallel()
	s := startServe(t, storetest.SQLite(t))
	if got := s.Get(t, "/metrics"); got.Status != http.StatusNotFound || strings.Contains(s.stderr.String(), "msg=metrics") {
		t.Errorf("%d %s", got.Status, s.stderr)
	}
}
