package telemetry

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// otherRequests is the label of requests without an operation: health checks, documents and unknown routes.
const otherRequests = "other"

// durationBuckets are upper bounds in seconds, from a fast patch to a request that times out.
var durationBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// metrics counts and times requests by operation. A nil *metrics does nothing. All label combinations are created when the server
// starts, so that a request looks up no label and allocates nothing.
type metrics struct {
	inFlight atomic.Int64
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	bytes    *prometheus.CounterVec
	refused  map[string]prometheus.Counter
	other    counters
}

// counters are the metrics of one operation.
type counters struct {
	label    string
	requests map[int]prometheus.Counter  // by status, for the expected ones
	duration map[int]prometheus.Observer // by class of status
	bytes    prometheus.Counter
}

// newMetrics registers the metrics of a server and of its store.
func newMetrics(cfg Config) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "clientapps_http_requests_total", Help: "Requests, by operation of the contract and status.",
		}, []string{"operation", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "clientapps_http_request_duration_seconds", Help: "Time to answer, by operation and class of status.",
			Buckets: durationBuckets,
		}, []string{"operation", "status_class"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "clientapps_http_response_bytes_total", Help: "Bytes of response bodies as sent, by operation.",
		}, []string{"operation"}),
	}
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "clientapps_http_refused_total", Help: "Requests answered 503 or 429, by cause.",
	}, []string{"cause"})
	m.refused = map[string]prometheus.Counter{}
	for _, cause := range cfg.Causes {
		m.refused[cause] = refused.WithLabelValues(cause)
	}
	inFlight := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "clientapps_http_requests_in_flight", Help: "Requests being answered.",
	}, func() float64 { return float64(m.inFlight.Load()) })
	maxInFlight := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "clientapps_http_requests_in_flight_max", Help: "Requests beyond which the server sheds.",
	})
	maxInFlight.Set(float64(cfg.MaxInFlight))
	var errs []error
	for _, c := range []prometheus.Collector{m.requests, m.duration, m.bytes, refused, inFlight, maxInFlight, storeCollector{cfg.Stats, cfg.Outcomes}} {
		errs = append(errs, cfg.Metrics.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	m.other = m.newCounters(otherRequests, []int{
		http.StatusOK, http.StatusNoContent, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusServiceUnavailable,
	})
	return m, nil
}

// newCounters creates the metrics of an operation. Its documented statuses start at zero.
func (m *metrics) newCounters(operation string, statuses []int) counters {
	if m == nil {
		return counters{}
	}
	c := counters{
		label: operation, requests: map[int]prometheus.Counter{}, duration: map[int]prometheus.Observer{},
		bytes: m.bytes.WithLabelValues(operation),
	}
	for _, status := range statuses {
		c.requests[status] = m.requests.WithLabelValues(operation, strconv.Itoa(status))
		c.duration[status/100] = m.duration.WithLabelValues(operation, statusClass(status))
	}
	return c
}

func statusClass(status int) string { return strconv.Itoa(status/100) + "xx" }

func (m *metrics) begin() {
	if m != nil {
		m.inFlight.Add(1)
	}
}

// decInFlight removes a stream from the requests in flight, where begin has counted it.
func (m *metrics) decInFlight() {
	if m != nil {
		m.inFlight.Add(-1)
	}
}

func (m *metrics) end(r *http.Request, observed *Request, took time.Duration) {
	if m == nil {
		return
	}
	if !observed.stream {
		m.inFlight.Add(-1)
	}
	c := &m.other
	if observed.Operation != nil {
		c = &observed.Operation.counters
	}
	if r.Method != http.MethodHead {
		c.bytes.Add(float64(observed.Sent))
	}
	requests, duration := c.requests[observed.Status], c.duration[observed.Status/100]
	if requests == nil { // an undocumented status, such as 499
		requests = m.requests.WithLabelValues(c.label, strconv.Itoa(observed.Status))
	}
	if duration == nil {
		duration = m.duration.WithLabelValues(c.label, statusClass(observed.Status))
	}
	requests.Inc()
	if !observed.stream {
		duration.Observe(took.Seconds())
	}
	if observed.Cause != "" {
		m.refused[observed.Cause].Inc()
	}
}
