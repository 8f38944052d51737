package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"github.com/XSAM/otelsql"
	"github.com/exaring/otelpgx"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"gorm.io/gorm"
)

// openTraced opens a pool whose statements are spans, if there is a provider, when the request that they belong to is one. Spans
// have the text of a statement, never the values of its parameters.
func openTraced(dsn string, traces trace.TracerProvider) (*sql.DB, error) {
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

// watch tells each statement that gorm has sent.
func watch(db *gorm.DB, told func(statement string)) error {
	tell := func(tx *gorm.DB) {
		if tx.Statement.SQL.Len() > 0 && !tx.DryRun && tx.Error == nil {
			told(tx.Statement.SQL.String())
		}
	}
	const name = "sqlite:watch"
	on := db.Callback()
	return errors.Join(
		on.Create().After("*").Register(name, tell), on.Query().After("*").Register(name, tell), on.Update().After("*").Register(name, tell),
		on.Delete().After("*").Register(name, tell), on.Row().After("*").Register(name, tell), on.Raw().After("*").Register(name, tell),
	)
}
