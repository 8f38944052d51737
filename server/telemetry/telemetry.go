// Package telemetry observes a server: a log line for each request and each authentication failure, metrics for Prometheus, and
// trace spans. It redacts tokens in the log.
package telemetry

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/clientapps/clientapps/store"
)

// Config selects what is observed, and where to.
type Config struct {
	Log *slog.Logger // must be set

	// These limit the lines that anybody can provoke, about refused requests and authentication failures, so that a flood of
	// requests does not fill the disk.
	AllowRefusal, AllowAuthFailure func() bool

	Metrics     *prometheus.Registry // nil: no metrics
	Stats       func() store.Stats   // for the store's metrics
	MaxInFlight int                  // the maximum of requests in flight, as a metric
	Causes      []string             // every cause that a request can have, so that each has a metric from the start
	Outcomes    []string             // every outcome of an attempt to deliver, likewise

	Traces      trace.TracerProvider // nil: no traces
	TracedPaths string               // the path prefix of requests with a span
}

// Observer observes the requests of one server.
type Observer struct {
	log          *slog.Logger
	refusals     *lineLimiter
	authFailures *lineLimiter
	metrics      *metrics     // nil: no metrics
	tracer       trace.Tracer // nil: no traces
	tracedPaths  string
}

// New makes an observer and registers its metrics.
func New(cfg Config) (*Observer, error) {
	o := &Observer{
		log: cfg.Log, refusals: &lineLimiter{allow: cfg.AllowRefusal}, authFailures: &lineLimiter{allow: cfg.AllowAuthFailure},
		tracedPaths: cfg.TracedPaths,
	}
	var err error
	if cfg.Metrics != nil {
		if o.metrics, err = newMetrics(cfg); err != nil {
			return nil, err
		}
	}
	if cfg.Traces != nil {
		o.tracer = cfg.Traces.Tracer("github.com/clientapps/clientapps/server")
	}
	return o, nil
}

// Operation is an operation of the API.
type Operation struct {
	ID    string
	Route string // its path, with the names of its parameters

	method  string
	handler slog.Handler // of its log lines, which begin with its id and method

	counters // the zero value without metrics
}

// Operation makes an operation, and its metrics for the documented statuses. Log lines of requests with its method are cheaper.
func (o *Observer) Operation(id, method, route string, statuses []int) *Operation {
	return &Operation{
		ID: id, Route: route, method: method,
		handler:  o.log.Handler().WithAttrs([]slog.Attr{slog.String("operation_id", id), slog.String("method", method)}),
		counters: o.metrics.newCounters(id, statuses),
	}
}

// Request has the facts of one request and its response. The server sets them while it serves the request.
type Request struct {
	ID        string
	Operation *Operation // nil until a route was found
	TokenID   uuid.UUID  // zero until the request is authenticated
	Err       error      // not shown to the client
	Cause     string     // the reason of a 503 or 429
	Status    int
	Sent      int // bytes of the body
	stream    bool

	span trace.Span // nil without traces
}

// Begin starts to observe a request. It returns the context to serve it with, which has the request's span.
func (o *Observer) Begin(ctx context.Context, r *http.Request, observed *Request) context.Context {
	o.metrics.begin()
	return o.beginSpan(ctx, r, observed)
}

// Stream marks a request as a stream or a transfer. It no longer counts as in flight, and its duration is not observed.
func (o *Observer) Stream(observed *Request) {
	observed.stream = true
	o.metrics.decInFlight()
}

// End counts an answered request, ends its span and writes its log line.
func (o *Observer) End(r *http.Request, observed *Request, started time.Time, took time.Duration) {
	o.metrics.end(r, observed, took)
	observed.endSpan()
	o.logRequest(r, observed, started.Add(took), took)
}
