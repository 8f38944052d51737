package faults

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// SchemaChanges are what operators and migrations do to tables that are in use. Together they leave no trace.
func SchemaChanges() []string {
	return []string{
		"ALTER TABLE apps ADD COLUMN extra text",
		"ALTER TABLE catalog_state ADD COLUMN extra text",
		"CREATE INDEX extra_changes ON app_changes (request_id)",
		"ALTER TABLE apps ALTER COLUMN extra TYPE integer USING 0",
		"ALTER TABLE clients ADD COLUMN extra text",
		"ALTER TABLE apps ALTER COLUMN license_count TYPE bigint",
		"CREATE INDEX CONCURRENTLY extra_apps ON apps (license_count)",
		"ALTER TABLE catalog_apps ADD COLUMN extra text",
		"ALTER TABLE app_changes ADD COLUMN extra text",
		"ALTER TABLE apps ALTER COLUMN license_count TYPE integer",
		"DROP INDEX extra_changes, extra_apps",
		"ALTER TABLE apps DROP COLUMN extra",
		"ALTER TABLE app_changes DROP COLUMN extra",
		"ALTER TABLE clients DROP COLUMN extra",
		"ALTER TABLE catalog_state DROP COLUMN extra",
		"ALTER TABLE catalog_apps DROP COLUMN extra",
	}
}

// Alter changes the schema the way that the page on rollouts says: it waits for locks for no longer than a second, and
// begins anew after another.
func (l *Lab) Alter(ctx context.Context, change string) error {
	statement := "SET lock_timeout = '1s'; " + change
	if strings.Contains(change, "CONCURRENTLY") {
		statement = change // no transaction, and nobody waits for it
	}
	for begun := time.Now(); ; {
		err := l.Cluster.Exec(ctx, "clientapps", statement)
		refused := (*pgconn.PgError)(nil)
		if !errors.As(err, &refused) || refused.Code != "55P03" && refused.Code != "40P01" || time.Since(begun) > startTime {
			return err
		}
		pause(ctx, time.Second)
	}
}
