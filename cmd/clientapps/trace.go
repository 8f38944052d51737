package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// flushTimeout bounds how long shutdown waits for the collector to accept the last spans.
const flushTimeout = 5 * time.Second

// tracing sends spans to a collector. A nil *tracing sends nothing.
type tracing struct{ provider *sdktrace.TracerProvider }

// startTracing does not connect: a server may start before its collector, and serves without one. The environment variables of the
// OpenTelemetry specification set headers, certificates and resource attributes.
func startTracing(ctx context.Context, cfg Config, log *slog.Logger) (*tracing, error) {
	if cfg.OTLPEndpoint == "" {
		return nil, nil //nolint:nilnil // nil sends nothing
	}
	exporter, err := otlptracehttp.New(ctx,
		otlptracehttp.WithEndpointURL(strings.TrimSuffix(cfg.OTLPEndpoint, "/")+"/v1/traces"),
		otlptracehttp.WithTimeout(flushTimeout),
	)
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	res, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(),
		resource.WithAttributes(semconv.ServiceName("clientapps"), semconv.ServiceVersion(programVersion())), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	return &tracing{sdktrace.NewTracerProvider(
		sdktrace.WithResource(res),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(cfg.TraceRatio))),
		sdktrace.WithBatcher(redactingExporter{exporter, log}),
	)}, nil
}

// tracerProvider returns the provider, or nil.
func (t *tracing) tracerProvider() trace.TracerProvider {
	if t == nil {
		return nil
	}
	return t.provider
}

// stop sends the remaining spans. It ignores errors: an unreachable collector is not a failure of the server.
func (t *tracing) stop(ctx context.Context) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // the exporter has logged the error
}

// redactingExporter removes error messages from spans, since a database repeats values in its messages. It also logs failed exports
// with the server's logger, since the SDK would write to standard error in another format.
type redactingExporter struct {
	sdktrace.SpanExporter

	log *slog.Logger
}

// ExportSpans implements sdktrace.SpanExporter.
func (e redactingExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	redacted := make([]sdktrace.ReadOnlySpan, len(spans))
	for i, span := range spans {
		redacted[i] = redactedSpan{span}
	}
	if err := e.SpanExporter.ExportSpans(ctx, redacted); err != nil {
		e.log.WarnContext(ctx, "spans lost", "spans", len(spans), "error", err)
	}
	return nil
}

type redactedSpan struct{ sdktrace.ReadOnlySpan }

// Events implements sdktrace.ReadOnlySpan. The only events are errors.
func (redactedSpan) Events() []sdktrace.Event { return nil }

// Status implements sdktrace.ReadOnlySpan.
func (s redactedSpan) Status() sdktrace.Status {
	return sdktrace.Status{Code: s.ReadOnlySpan.Status().Code}
}
