package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// reusable has migrated databases that no test uses now. Emptying one is faster than creating and dropping one, which wait for checkpoints.
var reusable struct {
	mu        sync.Mutex
	databases []database

	schema string      // of the template
	tables []tableRows // of the template
}

type database struct {
	name   string
	schema string // as schemaDigest returns it: that of the template, unless the database is not a copy of it
}

// tableRows has the rows that migrations insert into a table, as a JSON array.
type tableRows struct{ name, rows string }

// reusedDatabase returns the URL of a copy of postgresTemplate, new or emptied. When the test ends, it empties the database, or drops it
// if the test has failed or has changed the schema.
func reusedDatabase(t testing.TB) string {
	t.Helper()
	reusable.mu.Lock()
	var d database
	if last := len(reusable.databases) - 1; last >= 0 {
		d, reusable.databases = reusable.databases[last], reusable.databases[:last]
	}
	reusable.mu.Unlock()
	switch {
	case d.name != "":
	case OnCitus():
		d = createDistributed(t)
	default:
		d = database{createDatabase(t, postgresTemplate.name), reusable.schema}
	}
	t.Cleanup(func() {
		err := errors.New("the test has failed")
		if !t.Failed() {
			err = reset(context.Background(), d)
		}
		if err != nil {
			dropDatabase(t, d.name)
			return
		}
		reusable.mu.Lock()
		defer reusable.mu.Unlock()
		reusable.databases = append(reusable.databases, d)
	})
	return databaseURL(d.name)
}

// readTemplate reads the schema and the rows that reset compares with and restores.
func readTemplate(ctx context.Context, name string) error {
	db, err := sql.Open("pgx", databaseURL(name))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if err := db.QueryRowContext(ctx, schemaDigest).Scan(&reusable.schema); err != nil {
		return err
	}
	var names string
	const tables = "SELECT string_agg(tablename, ' ') FROM pg_tables WHERE schemaname = 'public'"
	if err := db.QueryRowContext(ctx, tables).Scan(&names); err != nil {
		return err
	}
	for _, name := range strings.Fields(names) {
		table := tableRows{name: name}
		if err := db.QueryRowContext(ctx, "SELECT coalesce(json_agg(r), '[]') FROM "+name+" AS r").Scan(&table.rows); err != nil {
			return err
		}
		reusable.tables = append(reusable.tables, table)
	}
	return nil
}

// reset restores the content of the template. It fails if a test has changed the schema.
func reset(ctx context.Context, d database) error {
	conn, err := pgx.Connect(ctx, databaseURL(d.name))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	if err := disconnectOthers(ctx, conn); err != nil {
		return err
	}
	for _, worker := range Workers(databaseURL(d.name)) {
		if err := resetWorker(ctx, worker); err != nil {
			return err
		}
	}
	var schema string
	if err := conn.QueryRow(ctx, schemaDigest).Scan(&schema); err != nil {
		return err
	}
	if schema != d.schema {
		return errors.New("the schema is not that of the template")
	}
	var names []string
	var restore strings.Builder
	for _, table := range reusable.tables {
		names = append(names, table.name)
		if table.rows != "[]" {
			rows := strings.ReplaceAll(table.rows, "'", "''")
			fmt.Fprintf(&restore, "INSERT INTO %s SELECT * FROM json_populate_recordset(NULL::%[1]s, '%s');", table.name, rows)
		}
	}
	if OnCitus() {
		return resetDistributed(ctx, conn, "DELETE FROM "+strings.Join(names, "; DELETE FROM ")+";"+restore.String())
	}
	// Triggers and foreign keys must not act on the rows that are restored.
	_, err = conn.Exec(ctx, "SET lock_timeout = '10s'; SET session_replication_role = replica; TRUNCATE "+strings.Join(names, ", ")+";"+
		restore.String()+"SELECT pg_stat_reset()")
	return err
}

// disconnectOthers waits until there is no other connection to the database, which could still write. The test has closed its
// connections, so most backends end by themselves. Those of a pooler do not.
func disconnectOthers(ctx context.Context, conn *pgx.Conn) error {
	// Citus connects its machines by itself.
	const others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' " +
		"AND application_name NOT LIKE 'citus%'"
	for milliseconds := range 10_000 {
		if milliseconds == 50 {
			if _, err := conn.Exec(ctx, "SELECT pg_terminate_backend(pid) "+others); err != nil {
				return err
			}
		}
		var n int
		if err := conn.QueryRow(ctx, "SELECT count(*) "+others).Scan(&n); err != nil || n == 0 {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	return errors.New("there are still connections to the database")
}

// schemaDigest returns a digest of everything that migrations create and tests could change.
const schemaDigest = `
WITH tables AS (
	SELECT * FROM pg_class WHERE relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^(pg_|information_schema$)')
), parts (part) AS (
	SELECT concat_ws(' ', relname, relnamespace, relkind, relowner, relrowsecurity, relforcerowsecurity, relacl, reloptions, relpersistence)
		FROM tables
	UNION ALL SELECT concat_ws(' ', attrelid, attnum, attname, format_type(atttypid, atttypmod), attnotnull, attisdropped, attcollation, attacl)
		FROM pg_attribute WHERE attnum > 0 AND attrelid IN (SELECT oid FROM tables)
	UNION ALL SELECT concat_ws(' ', adrelid, adnum, pg_get_expr(adbin, adrelid)) FROM pg_attrdef
	UNION ALL SELECT concat_ws(' ', indisvalid, pg_get_indexdef(indexrelid)) FROM pg_index WHERE indrelid IN (SELECT oid FROM tables)
	UNION ALL SELECT concat_ws(' ', conname, pg_get_constraintdef(oid)) FROM pg_constraint WHERE conrelid IN (SELECT oid FROM tables)
	UNION ALL SELECT concat_ws(' ', tgname, tgenabled, pg_get_triggerdef(oid)) FROM pg_trigger
	UNION ALL SELECT concat_ws(' ', proname, proowner, proacl, pg_get_functiondef(oid)) FROM pg_proc
		WHERE pronamespace = 'public'::regnamespace AND prokind = 'f'
	UNION ALL SELECT concat_ws(' ', polname, polrelid, polcmd, polroles, pg_get_expr(polqual, polrelid)) FROM pg_policy
	UNION ALL SELECT concat_ws(' ', nspname, nspowner, nspacl) FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_'
	UNION ALL SELECT concat_ws(' ', defaclrole, defaclnamespace, defaclobjtype, defaclacl) FROM pg_default_acl
	UNION ALL SELECT concat_ws(' ', setrole, setconfig) FROM pg_db_role_setting
		WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
	UNION ALL SELECT extname FROM pg_extension
	UNION ALL SELECT concat_ws(' ', pubname) FROM pg_publication
)
SELECT md5(string_agg(part, E'\n' ORDER BY part)) FROM parts`

// dropReusable drops the databases that no test uses.
func dropReusable(ctx context.Context) {
	for _, d := range reusable.databases {
		if err := adminOnAllServers(ctx, "DROP DATABASE IF EXISTS "+d.name+" WITH (FORCE)"); err != nil {
			fmt.Fprintln(os.Stderr, "storetest:", err)
		}
	}
}
