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
	if !strings.HasPrefix(query, "SELECT") {
		return p.DB.QueryContext(ctx, query, args...)
	}
	err = p.again(ctx, func() error {
		rows, err = p.DB.QueryContext(ctx, query, args...)
		return err
	})
	return rows, err
}

// GetDBConn implements gorm.GetDBConnector.
func (p *readPool) GetDBConn() (*sql.DB, error) { return p.DB, nil }
