-- Two roles for one database. clientapps_owner creates and changes the schema (clientapps migrate up). clientapps_server imports and
-- answers requests (clientapps serve --migrate=false); it can neither change the schema nor rewrite the history.
-- Run it as a superuser in the database, before the first migrate up and after every migrate up. It can be run again.
--   psql -v ON_ERROR_STOP=1 -f roles.sql "$DATABASE"
-- Set up how the roles log in (a password, a certificate) yourself: ALTER ROLE, pg_hba.conf.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['clientapps_owner', 'clientapps_server'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', name);
        END IF;
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), name);
    END LOOP;
    -- Nothing needs temporary tables.
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
END $$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO clientapps_owner;
GRANT USAGE ON SCHEMA public TO clientapps_server;

-- Existing tables, and tables of later migrations.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO clientapps_server;
ALTER DEFAULT PRIVILEGES FOR ROLE clientapps_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO clientapps_server;

-- The history is append-only, and the schema version is read-only. The history of the catalog is written by triggers alone, which have
-- the rights of their owner. What is kept of a client is erased only by a function, and only of
-- clients that are being deleted.
DO $$
BEGIN
    IF to_regclass('public.app_changes') IS NOT NULL THEN
        REVOKE UPDATE, DELETE ON app_changes FROM clientapps_server;
        REVOKE DELETE ON clients, client_app_counts FROM clientapps_server;
    END IF;
    IF to_regclass('public.catalog_changes') IS NOT NULL THEN
        REVOKE INSERT, UPDATE, DELETE ON catalog_changes FROM clientapps_server;
    END IF;
    IF to_regprocedure('public.erase_client(uuid, integer)') IS NOT NULL THEN
        GRANT EXECUTE ON FUNCTION erase_client(uuid, integer) TO clientapps_server;
    END IF;
    IF to_regclass('public.goose_db_version') IS NOT NULL THEN
        REVOKE INSERT, UPDATE, DELETE ON goose_db_version FROM clientapps_server;
    END IF;
END $$;
