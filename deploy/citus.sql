-- Distributes the schema of clientapps over a Citus cluster (13 on PostgreSQL 15 or later): what is one client's lies on one
-- machine, the catalog and the tokens on each. Run it once, on the coordinator, as a superuser, in the schema public,
-- after `clientapps migrate up` and before the first server with --batch-by-client serves. See docs/scale-out.md.
--
--     psql -v ON_ERROR_STOP=1 -f deploy/citus.sql postgres://…
--
-- It can be run on tables with rows in them, which it moves: stop the servers first.

-- The triggers write the history and the counts of the client whose rows are written, on the machine where these are.
-- Citus takes our word for that, on every machine.
SELECT run_command_on_workers('ALTER SYSTEM SET citus.enable_unsafe_triggers = on');
SELECT run_command_on_workers('SELECT pg_reload_conf()');
ALTER SYSTEM SET citus.enable_unsafe_triggers = on;
SELECT pg_reload_conf();
SET citus.enable_unsafe_triggers = on;

BEGIN;
-- Foreign keys lead to reference tables: within one transaction Citus wants to go over one connection to each machine.
SET LOCAL citus.multi_shard_modify_mode = 'sequential';

-- Tables before those that refer to them.
SELECT create_reference_table('catalog_vendors');
SELECT create_reference_table('catalog_categories');
SELECT create_reference_table('catalog_apps');
SELECT create_reference_table('catalog_app_categories');
SELECT create_reference_table('catalog_url_patterns');
SELECT create_reference_table('catalog_desktop_aliases');
SELECT create_reference_table('catalog_state');
SELECT create_reference_table('catalog_revisions');
-- A token is read before anybody knows which client it is about.
SELECT create_reference_table('tokens');
SELECT create_reference_table('token_clients');

SELECT create_distributed_table('clients', 'id', colocate_with := 'none');
-- Before apps, whose triggers write to them.
SELECT create_distributed_table('client_app_counts', 'client_id', colocate_with := 'clients');
SELECT create_distributed_table('app_changes', 'client_id', colocate_with := 'clients');
SELECT create_distributed_table('apps', 'client_id', colocate_with := 'clients');

COMMIT;
