-- Optional row-level security: PostgreSQL itself limits each transaction to the rows of one client. Serve with
-- --row-level-security, as a role that does not own the tables (see roles.sql): policies do not apply to owners and superusers.
-- Run it as the owner, after migrate up; it can be run again. docs/security-database.md has all steps, and how to undo them.
--   psql -v ON_ERROR_STOP=1 -f rls.sql "$DATABASE"
-- Without the setting clientapps.client_id, or when it is not an id, no rows are visible. '*' is for the few statements that the code
-- declares as cross-tenant.
BEGIN;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['apps', 'app_changes', 'client_app_counts'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('DROP POLICY IF EXISTS clientapps_client ON %I', name);
        -- Without a subquery, which Citus would refuse. PostgreSQL takes it that a CASE is true for every second row; of an equality it
        -- would expect too few rows, and sort a page instead of reading it in order.
        EXECUTE format($policy$
            CREATE POLICY clientapps_client ON %I USING (
                CASE current_setting('clientapps.client_id', true) WHEN client_id::text THEN true WHEN '*' THEN true ELSE false END
            )$policy$, name);
    END LOOP;
END $$;

COMMIT;
