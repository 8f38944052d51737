// Package telemetry shows what a server does: a log line for each request and each failure to authenticate, metrics for Prometheus,
// and trace spans. Tokens are redacted from the log.
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

// Config says what is observed and where it goes.
type Config struct {
	Log *slog.Logger // must be set

	// Whether one more line may be written of a kind that anybody can provoke: about refused requests, and about failures to
	// authenticate. A flood of requests then does not fill the disk.
	AllowRefusal, AllowAuthFailure func() bool

	Metrics     *prometheus.Registry // nil: nothing is measured
	Stats       func() store.Stats   // the store's numbers, for the metrics
	MaxInFlight int                  // requests beyond which the server sheds, for the metrics
	Causes      []string             // every cause that a request can have, so that each has a metric from the start

	Traces      trace.TracerProvider // nil: nothing is traced
	TracedPaths string               // what the path of a request begins with that gets a span
}

// Observer observes the requests of one server.
type Observer struct {
	log          *slog.Logger
	refusals     *boundedLines
	authFailures *boundedLines
	metrics      *metrics     // nil: nothing is measured
	tracer       trace.Tracer // nil: nothing is traced
	tracedPaths  string
}

// New makes an observer and registers its metrics.
func New(cfg Config) (*Observer, error) {
	o := &Observer{
		log: cfg.Log, refusals: &boundedLines{allow: cfg.AllowRefusal}, authFailures: &boundedLines{allow: cfg.AllowAuthFailure},
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

// Operation is what is known of an operation of the API before there is a request.
type Operation struct {
	ID    string
	Route string // its path, with the names of its parameters

	counters // zero when nothing is measured
}

// Operation makes an operation, and its metrics for the statuses that it documents.
func (o *Observer) Operation(id, route string, statuses []int) *Operation {
	return &Operation{ID: id, Route: route, counters: o.metrics.of(id, statuses)}
}

// Request is what is known of one request and its answer. It is filled in while the request is served.
type Request struct {
	ID        string
	Operation *Operation // nil until a route was found
	TokenID   uuid.UUID  // zero until the request is authenticated
	Err       error      // what the answer hides
	Cause     string     // why it is 503 or 429
	Status    int
	Sent      int // bytes of the body

	span trace.Span // nil when nothing is traced
}

// Begin begins to observe a request. It returns the context to serve it with, which has the request's span.
func (o *Observer) Begin(ctx context.Context, r *http.Request, x *Request) context.Context {
	o.metrics.begin()
	return o.beginSpan(ctx, r, x)
}

// End counts a request that was answered, ends its span and writes its line to the log.
func (o *Observer) End(r *http.Request, x *Request, took time.Duration) {
	o.metrics.end(r, x, took)
	x.endSpan()
	o.logRequest(r, x, took)
}
