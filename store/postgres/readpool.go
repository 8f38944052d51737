package postgres

import (
	"context"
	"database/sql"
	"strings"
)

// readPool is gorm's pool on PostgreSQL. It retries SELECTs outside of transactions when their connection was broken or their plan
// is out of date, so that the first request after a restart of the database succeeds.
type readPool struct {
	*sql.DB

	retry func(ctx context.Context, do func() error) error
}

// QueryContext implements gorm.ConnPool.
func (p *readPool) QueryContext(ctx context.Context, query string, args ...any) (rows *sql.Rows, err error) {
	send := func() error {
		rows, err = p.DB.QueryContext(ctx, query, args...) //nolint:rowserrcheck,sqlclosecheck // gorm reads and closes them
		return err
	}
	if strings.HasPrefix(query, "SELECT") {
		err = p.retry(ctx, send)
	} else {
		err = send()
	}
	return rows, err
}

// GetDBConn implements gorm.GetDBConnector.
func (p *readPool) GetDBConn() (*sql.DB, error) { return p.DB, nil }
