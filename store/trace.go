package store

import (
	"context"
	"database/sql"
	"database/sql/driver"

	"github.com/XSAM/otelsql"
	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// A statement is a span when the request that it belongs to is one. What the store does by itself, such as looking for
// changes of the catalog, is none. Spans have the text of a statement, never the values of its parameters.

// tracePostgres makes every statement of a connection a span. Without a provider nothing is added, and nothing is paid for.
func tracePostgres(conn *pgx.ConnConfig, traces trace.TracerProvider) {
	if traces != nil {
		conn.Tracer = otelpgx.NewTracer(
			otelpgx.WithTracerProvider(traces),
			otelpgx.WithDisableConnectionDetailsInAttributes(), // it would copy the configuration for each statement
			otelpgx.WithTracerAttributes(
				semconv.DBSystemNamePostgreSQL, semconv.DBNamespace(conn.Database),
				semconv.ServerAddress(conn.Host), semconv.ServerPort(int(conn.Port)),
			),
		)
	}
}

// openSQLite opens a pool whose statements are spans, if there is a provider.
func openSQLite(dsn string, traces trace.TracerProvider) (*sql.DB, error) {
	if traces == nil {
		return sql.Open("sqlite", dsn)
	}
	return otelsql.Open("sqlite", dsn,
		otelsql.WithTracerProvider(traces),
		otelsql.WithAttributes(semconv.DBSystemNameSQLite),
		otelsql.WithSpanNameFormatter(func(ctx context.Context, method otelsql.Method, query string) string {
			if query == "" {
				return string(method)
			}
			return otelpgx.SQLOperationName(ctx, query)
		}),
		otelsql.WithSpanOptions(otelsql.SpanOptions{
			DisableErrSkip: true, OmitConnResetSession: true, OmitConnPrepare: true, OmitRows: true, OmitConnectorConnect: true,
			SpanFilter: func(ctx context.Context, _ otelsql.Method, _ string, _ []driver.NamedValue) bool {
				return trace.SpanFromContext(ctx).IsRecording()
			},
		}),
	)
}

// traceBatch begins the span of a transaction that patches of several requests share. It stands in the trace of the first
// that is traced and links to all of them; each of them links to it.
func (s *Store) traceBatch(ctx context.Context, batch []*appPatch) (context.Context, trace.Span) {
	if s.tracer == nil {
		return ctx, trace.SpanFromContext(ctx)
	}
	var parent trace.Span
	var links []trace.Link
	for _, p := range batch {
		if span := trace.SpanFromContext(p.Ctx); span.IsRecording() {
			links = append(links, trace.Link{SpanContext: span.SpanContext()})
			if parent == nil {
				parent = span
			}
		}
	}
	if parent == nil {
		return ctx, trace.SpanFromContext(ctx)
	}
	ctx, batched := s.tracer.Start(trace.ContextWithSpan(ctx, parent), "write patches", trace.WithLinks(links...),
		trace.WithAttributes(attribute.Int("clientapps.patches", len(batch))))
	for _, p := range batch {
		trace.SpanFromContext(p.Ctx).AddLink(trace.Link{SpanContext: batched.SpanContext()})
	}
	return ctx, batched
}
