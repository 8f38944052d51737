-- Row-level security, an option: PostgreSQL itself keeps each transaction to the rows of one client. Serve with
-- --row-level-security, as a role that does not own the tables (see roles.sql): owners and superusers pass every policy.
-- Run it as the owner, after migrate up; it can be run again. docs/security-database.md has the whole way, and the way back.
--   psql -v ON_ERROR_STOP=1 -f rls.sql "$DATABASE"
-- Without the setting, or with one that is no id, there are no rows; '*' is for the few statements that the code declares to
-- be about all clients.
BEGIN;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['apps', 'app_changes', 'client_app_counts'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('DROP POLICY IF EXISTS clientapps_client ON %I', name);
        -- In a SELECT of its own the setting is read once for a statement, not for each row.
        EXECUTE format($policy$
            CREATE POLICY clientapps_client ON %I USING (
                client_id = (SELECT CASE WHEN s ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN s::uuid END
                    FROM current_setting('clientapps.client_id', true) AS s)
                OR (SELECT current_setting('clientapps.client_id', true) = '*')
            )$policy$, name);
    END LOOP;
END $$;

COMMIT;
