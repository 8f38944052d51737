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
	"modernc.org/sqlite"
)

// openTraced opens a pool. With a provider, each statement of a traced request is a span, which has the text of the statement, never the
// values of its parameters. traces and onStatement may be nil.
func openTraced(dsn string, traces trace.TracerProvider, onStatement func(text string)) (*sql.DB, error) {
	plain, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	c := &connector{driver: plain.Driver(), dsn: dsn, onStatement: onStatement}
	if traces != nil {
		c.driver = otelsql.WrapDriver(c.driver, traceOptions(traces)...)
	}
	return sql.OpenDB(c), nil
}

func traceOptions(traces trace.TracerProvider) []otelsql.Option {
	return []otelsql.Option{
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
	}
}

// reportStatements calls onStatement with each statement that gorm has sent. Conn.Query reports its own.
func reportStatements(db *gorm.DB, onStatement func(statement string)) error {
	report := func(tx *gorm.DB) {
		if tx.Statement.SQL.Len() > 0 && !tx.DryRun && tx.Error == nil {
			onStatement(tx.Statement.SQL.String())
		}
	}
	const name = "sqlite:watch"
	on := db.Callback()
	return errors.Join(
		on.Create().After("*").Register(name, report), on.Query().After("*").Register(name, report),
		on.Update().After("*").Register(name, report), on.Delete().After("*").Register(name, report),
		on.Row().After("*").Register(name, report), on.Raw().After("*").Register(name, report),
	)
}
