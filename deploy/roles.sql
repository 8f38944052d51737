-- Two roles for one database: clientapps_owner makes and changes the schema (clientapps migrate up, clientapps import),
-- clientapps_server answers requests (clientapps serve --migrate=false) and can neither change the schema nor rewrite the
-- history. Run it as a superuser in the database, before the first migrate up and after every one; it can be run again.
--   psql -v ON_ERROR_STOP=1 -f roles.sql "$DATABASE"
-- How the roles log in (a password, a certificate) is up to you: ALTER ROLE, pg_hba.conf.
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
    -- An import stages its rows in temporary tables; a server has no use for any.
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO clientapps_owner', current_database());
END $$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO clientapps_owner;
GRANT USAGE ON SCHEMA public TO clientapps_server;

-- What there is, and what later migrations bring.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO clientapps_server;
ALTER DEFAULT PRIVILEGES FOR ROLE clientapps_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO clientapps_server;

-- What is only added to, or only read.
DO $$
BEGIN
    IF to_regclass('public.app_changes') IS NOT NULL THEN
        REVOKE UPDATE, DELETE ON app_changes FROM clientapps_server;
    END IF;
    IF to_regclass('public.goose_db_version') IS NOT NULL THEN
        REVOKE INSERT, UPDATE, DELETE ON goose_db_version FROM clientapps_server;
    END IF;
END $$;
