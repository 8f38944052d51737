-- Distributes the schema of clientapps over a Citus cluster (13 on PostgreSQL 15 or later). The rows of one client are on one
-- machine; the catalog and the tokens are on every machine. Run it once, on the coordinator, as a superuser, in the schema public,
-- after `clientapps migrate up` and before the first server with --batch-by-client starts. See docs/scale-out.md.
--
--     psql -v ON_ERROR_STOP=1 -f deploy/citus.sql postgres://…
--
-- It also works on tables with rows, and moves the rows: stop the servers first.

-- Citus calls triggers unsafe because it cannot check them. Ours only write rows of the same client, which are on the same machine, or
-- to a table that each machine has for itself.
SELECT run_command_on_workers('ALTER SYSTEM SET citus.enable_unsafe_triggers = on');
SELECT run_command_on_workers('SELECT pg_reload_conf()');
ALTER SYSTEM SET citus.enable_unsafe_triggers = on;
SELECT pg_reload_conf();
SET citus.enable_unsafe_triggers = on;

-- Each machine has the whole catalog, and its triggers write the history of all of it there. The servers read that of the coordinator.
SELECT run_command_on_workers($$CREATE TABLE IF NOT EXISTS catalog_changes (
    revision   bigint NOT NULL,
    entity     text COLLATE "C" NOT NULL,
    entity_id  uuid NOT NULL,
    field      text COLLATE "C" NOT NULL,
    old_value  text NOT NULL,
    new_value  text NOT NULL,
    actor_id   uuid NOT NULL,
    actor_name text NOT NULL,
    request_id text NOT NULL,
    changed_at timestamptz(3) NOT NULL,
    PRIMARY KEY (revision, entity, entity_id, field)
)$$);
SELECT run_command_on_workers(format('ALTER TABLE catalog_changes OWNER TO %I', tableowner))
FROM pg_tables WHERE schemaname = 'public' AND tablename = 'catalog_changes';

BEGIN;
-- Foreign keys refer to reference tables. So Citus needs to use one connection to each machine within the transaction.
SET LOCAL citus.multi_shard_modify_mode = 'sequential';

-- A table comes before the tables that refer to it.
SELECT create_reference_table('catalog_vendors');
SELECT create_reference_table('catalog_categories');
SELECT create_reference_table('catalog_apps');
SELECT create_reference_table('catalog_app_categories');
SELECT create_reference_table('catalog_url_patterns');
SELECT create_reference_table('catalog_desktop_aliases');
SELECT create_reference_table('catalog_state');
SELECT create_reference_table('catalog_revisions');
-- A token is read before its client is known.
SELECT create_reference_table('tokens');
SELECT create_reference_table('token_clients');
SELECT create_reference_table('change_feed');
-- Webhooks need the change feed. A table that others refer to comes first.
SELECT create_reference_table('webhook_state');
SELECT create_reference_table('webhooks');
SELECT create_reference_table('webhook_deliveries');

SELECT create_distributed_table('clients', 'id', colocate_with := 'none');
-- These come before apps, whose triggers write to them.
SELECT create_distributed_table('client_app_counts', 'client_id', colocate_with := 'clients');
SELECT create_distributed_table('app_changes', 'client_id', colocate_with := 'clients');
SELECT create_distributed_table('apps', 'client_id', colocate_with := 'clients');

-- A change feed needs the transaction ids of one machine.
UPDATE change_feed SET distributed = true;

COMMIT;
