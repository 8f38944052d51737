package faults

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// SchemaChanges returns schema changes that operators and migrations make to tables in use. Together they change nothing.
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

// Alter changes the schema as docs/rollout.md advises: it waits for a lock for at most a second, and retries a second later.
func (h *Harness) Alter(ctx context.Context, change string) error {
	statement := "SET lock_timeout = '1s'; " + change
	if strings.Contains(change, "CONCURRENTLY") {
		statement = change // it runs outside of a transaction and blocks nobody
	}
	for begun := time.Now(); ; {
		err := h.Cluster.Exec(ctx, "clientapps", statement)
		refused := (*pgconn.PgError)(nil)
		if !errors.As(err, &refused) || refused.Code != "55P03" && refused.Code != "40P01" || time.Since(begun) > startTimeout {
			return err
		}
		pause(ctx, time.Second)
	}
}
