package postgres

import (
	"context"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// addTracers makes each statement of a traced request a span, which has the text of the statement, never the values of its parameters.
// Without a provider there are no spans.
func addTracers(conn *pgx.ConnConfig, cfg Config) {
	var tracers []pgx.QueryTracer
	if cfg.Traces != nil {
		where := []attribute.KeyValue{
			semconv.DBSystemNamePostgreSQL, semconv.DBNamespace(conn.Database),
			semconv.ServerAddress(conn.Host), semconv.ServerPort(int(conn.Port)),
		}
		tracers = append(tracers, otelpgx.NewTracer(
			otelpgx.WithTracerProvider(cfg.Traces),
			otelpgx.WithDisableConnectionDetailsInAttributes(), // it would copy the configuration for each statement
			otelpgx.WithTracerAttributes(where...),
		))
	}
	if cfg.OnStatement != nil {
		tracers = append(tracers, statementTracer(cfg.OnStatement))
	}
	if len(tracers) > 0 {
		conn.Tracer = multitracer.New(tracers...)
	}
}

// statementTracer is called with the text of each statement.
type statementTracer func(statement string)

// TraceQueryStart implements pgx.QueryTracer.
func (t statementTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	t(data.SQL)
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (statementTracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TraceBatchStart implements pgx.BatchTracer.
func (statementTracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

// TraceBatchQuery implements pgx.BatchTracer.
func (t statementTracer) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	t(data.SQL)
}

// TraceBatchEnd implements pgx.BatchTracer.
func (statementTracer) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}
