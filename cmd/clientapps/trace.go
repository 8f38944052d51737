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

// flushTimeout bounds how long a server that ends waits for the collector to take the last spans.
const flushTimeout = 5 * time.Second

// traces sends spans to a collector. The nil one traces nothing.
type traces struct{ provider *sdktrace.TracerProvider }

// startTraces does not connect: a server may start before its collector, and serves without one. The variables that the
// OpenTelemetry specification has for headers, certificates and resource attributes are heeded.
func startTraces(ctx context.Context, cfg Config, log *slog.Logger) (*traces, error) {
	if cfg.OTLPEndpoint == "" {
		return nil, nil //nolint:nilnil // nil traces nothing
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
	return &traces{sdktrace.NewTracerProvider(
		sdktrace.WithResource(res),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(cfg.TraceRatio))),
		sdktrace.WithBatcher(quietExporter{exporter, log}),
	)}, nil
}

// tracers is what makes spans, or nil.
func (t *traces) tracers() trace.TracerProvider {
	if t == nil {
		return nil
	}
	return t.provider
}

// stop sends what has not been sent. That a collector is away is no failure of the server's.
func (t *traces) stop(ctx context.Context) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // the exporter has logged what failed
}

// quietExporter leaves out of spans what errors say, for a database repeats values in its messages, and logs in place of
// the SDK, which would write to standard error in a form of its own.
type quietExporter struct {
	sdktrace.SpanExporter

	log *slog.Logger
}

// ExportSpans implements sdktrace.SpanExporter.
func (e quietExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	quiet := make([]sdktrace.ReadOnlySpan, len(spans))
	for i, span := range spans {
		quiet[i] = quietSpan{span}
	}
	if err := e.SpanExporter.ExportSpans(ctx, quiet); err != nil {
		e.log.WarnContext(ctx, "spans lost", "spans", len(spans), "error", err)
	}
	return nil
}

type quietSpan struct{ sdktrace.ReadOnlySpan }

// Events implements sdktrace.ReadOnlySpan. The only events are errors.
func (quietSpan) Events() []sdktrace.Event { return nil }

// Status implements sdktrace.ReadOnlySpan.
func (s quietSpan) Status() sdktrace.Status {
	return sdktrace.Status{Code: s.ReadOnlySpan.Status().Code}
}
