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

// openTraced opens a pool whose statements are spans, if there is a provider, when the request that they belong to is one. Spans
// have the text of a statement, never the values of its parameters. told may be nil.
func openTraced(dsn string, traces trace.TracerProvider, told func(text string)) (*sql.DB, error) {
	plain, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	c := &connector{driver: plain.Driver(), dsn: dsn, told: told}
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

// watch tells each statement that gorm has sent. Conn.Query tells its own.
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
