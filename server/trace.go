package server

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

// beginSpan begins the span of a request to the API, in the trace that the caller began (W3C Trace Context). The path, the
// query, the names of host and program that the client sends are left out: a span has nothing that a client wrote.
func (s *Server) beginSpan(ctx context.Context, r *http.Request, x *requestState) context.Context {
	if s.tracer == nil || !strings.HasPrefix(r.URL.Path, basePath+"/") {
		return ctx
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header))
	ctx, x.span = s.tracer.Start(ctx, "request", trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		methodAttribute(r.Method), semconv.URLScheme(scheme),
		semconv.NetworkProtocolVersion(strconv.Itoa(r.ProtoMajor)+"."+strconv.Itoa(r.ProtoMinor)),
	))
	return ctx
}

// endSpan says what became of the request. A refusal is no error of the server's.
func (x *requestState) endSpan() {
	if x.span == nil {
		return
	}
	if op := x.operation; op != nil {
		x.span.SetName(op.id)
		x.span.SetAttributes(semconv.HTTPRoute(op.route))
	}
	status := x.status
	x.span.SetAttributes(semconv.HTTPResponseStatusCode(status))
	if status >= http.StatusInternalServerError {
		x.span.SetStatus(codes.Error, "")
		x.span.SetAttributes(semconv.ErrorTypeKey.String(strconv.Itoa(status)))
	}
	x.span.End()
}

// methodAttribute leaves out what is no method of the contract: anything can stand there.
func methodAttribute(method string) attribute.KeyValue {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return semconv.HTTPRequestMethodKey.String(method)
	}
	return semconv.HTTPRequestMethodOther
}
