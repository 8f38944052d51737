package store

import (
	"context"
	"database/sql"
	"strings"
)

// readPool is gorm's pool on PostgreSQL. A query outside of a transaction writes nothing, so it is sent again when its
// connection was lost or its plan is out of date: the first request after the database was away finds nothing amiss.
type readPool struct {
	*sql.DB

	again func(ctx context.Context, do func() error) error
}

// QueryContext implements gorm.ConnPool.
func (p *readPool) QueryContext(ctx context.Context, query string, args ...any) (rows *sql.Rows, err error) {
	send := func() error {
		rows, err = p.DB.QueryContext(ctx, query, args...) //nolint:rowserrcheck,sqlclosecheck // gorm reads and closes them
		return err
	}
	if strings.HasPrefix(query, "SELECT") {
		err = p.again(ctx, send)
	} else {
		err = send()
	}
	return rows, err
}

// GetDBConn implements gorm.GetDBConnector.
func (p *readPool) GetDBConn() (*sql.DB, error) { return p.DB, nil }
