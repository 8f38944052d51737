package telemetry

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// beginSpan starts the span of a request, in the client's trace if there is one (W3C Trace Context). The span has no path, query,
// host or user agent, since a client chooses those.
func (o *Observer) beginSpan(ctx context.Context, r *http.Request, observed *Request) context.Context {
	if o.tracer == nil || !strings.HasPrefix(r.URL.Path, o.tracedPaths) {
		return ctx
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header))
	ctx, observed.span = o.tracer.Start(ctx, "request", trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		methodAttribute(r.Method), semconv.URLScheme(scheme),
		semconv.NetworkProtocolVersion(strconv.Itoa(r.ProtoMajor)+"."+strconv.Itoa(r.ProtoMinor)),
	))
	return ctx
}

// endSpan sets the status of the span. A refused request is not an error of the server.
func (observed *Request) endSpan() {
	if observed.span == nil {
		return
	}
	if op := observed.Operation; op != nil {
		observed.span.SetName(op.ID)
		observed.span.SetAttributes(semconv.HTTPRoute(op.Route))
	}
	status := observed.Status
	observed.span.SetAttributes(semconv.HTTPResponseStatusCode(status))
	if status >= http.StatusInternalServerError {
		observed.span.SetStatus(codes.Error, "")
		observed.span.SetAttributes(semconv.ErrorTypeKey.String(strconv.Itoa(status)))
	}
	observed.span.End()
}

// methodAttribute leaves out methods that the contract does not have, since a client chooses those.
func methodAttribute(method string) attribute.KeyValue {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return semconv.HTTPRequestMethodKey.String(method)
	}
	return semconv.HTTPRequestMethodOther
}
