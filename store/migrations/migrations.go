// Package migrations has the schema, as numbered steps for each database, and runs the steps. A released step never changes.
package migrations

import (
	"database/sql"
	"embed"
	"io/fs"

	"github.com/pressly/goose/v3"
)

//go:embed postgres/*.sql sqlite/*.sql
var files embed.FS

// New returns the migrations of a database.
func New(dialect goose.Dialect, pool *sql.DB) (*goose.Provider, error) {
	dir := "postgres"
	if dialect == goose.DialectSQLite3 {
		dir = "sqlite"
	}
	steps, err := fs.Sub(files, dir)
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(dialect, pool, steps,
		goose.WithDisableGlobalRegistry(true), goose.WithGoMigrations(foldMigration(dialect)))
}
