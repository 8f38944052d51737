-- Distributes the schema of clientapps over a Citus cluster (13 on PostgreSQL 15 or later). The rows of one client are on one
-- machine; the catalog and the tokens are on every machine. Run it on the coordinator, as a superuser, in the schema public, after
-- `clientapps migrate up` and before the first server with --batch-by-client starts. See docs/scale-out.md.
--
--     psql -v ON_ERROR_STOP=1 -f deploy/citus.sql postgres://…
--
-- It also works on tables with rows, and moves the rows: stop the servers first. Run it again after citus_add_node, and after a
-- `clientapps migrate up` that made tables: it does what is missing, and servers may run meanwhile if no table is new.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') THEN
        RAISE EXCEPTION 'this database does not have the extension citus'
            USING HINT = 'Run CREATE EXTENSION citus in this database on every machine.';
    ELSIF to_regclass('public.goose_db_version') IS NULL THEN
        RAISE EXCEPTION 'this database does not have the tables of clientapps'
            USING HINT = 'Run clientapps migrate up on the coordinator.';
    ELSIF (SELECT groupid <> 0 FROM pg_dist_local_group) THEN
        RAISE EXCEPTION 'this machine is a worker' USING HINT = 'Run this on the coordinator.';
    ELSIF NOT EXISTS (SELECT FROM pg_dist_node WHERE groupid = 0) THEN
        RAISE EXCEPTION 'the workers do not know the coordinator' USING HINT = 'Run SELECT citus_set_coordinator_host(host, port).';
    ELSIF NOT EXISTS (SELECT FROM pg_dist_node WHERE groupid <> 0 AND isactive) THEN
        RAISE EXCEPTION 'there is no worker' USING HINT = 'Run SELECT citus_add_node(host, port) for each worker.';
    END IF;
END $$;

-- Settings of the database, on every machine. Citus calls triggers unsafe because it cannot check them: ours only write rows of the same
-- client, which are on the same machine, or to a table that each machine has for itself. A machine whose client is gone must end the
-- statement while it waits for a lock: later it could commit a write that a server has called refused. lock_timeout is for the patches
-- that servers send without BEGIN: one that meets a locked row waits again, by itself, and does not delay others. Transactions of the
-- servers, migrations included, set their own. A migration alters several tables in one transaction, and a table's foreign keys refer to
-- reference tables: Citus refuses that unless it uses one connection to each machine. A machine with shards keeps no plans: Citus 12.1.12,
-- 13.2.1 and 14.0.0 do not find the plan that they have kept for a shard, and plan again. The session keeps each of these plans until it
-- ends: 50 KB for each statement of a trigger, and for each prepared one.
SET citus.enable_unsafe_triggers = on;
DO $$
DECLARE
    failed text;
BEGIN
    SELECT string_agg(format('%s:%s: %s', nodename, nodeport, result), E'\n') INTO failed FROM run_command_on_all_nodes($command$
        DO $settings$
        DECLARE
            setting text;
        BEGIN
            SET LOCAL citus.enable_ddl_propagation = off; -- a worker refuses what it would have to propagate
            FOREACH setting IN ARRAY ARRAY['citus.enable_unsafe_triggers = on',
                'citus.propagate_set_commands = ''local''', 'client_connection_check_interval = ''1s''', 'lock_timeout = ''50ms''',
                'citus.multi_shard_modify_mode = ''sequential'''] LOOP
                EXECUTE format('ALTER DATABASE %I SET %s', current_database(), setting);
            END LOOP;
            IF EXISTS (SELECT FROM pg_dist_node JOIN pg_dist_local_group USING (groupid) WHERE shouldhaveshards) THEN
                EXECUTE format('ALTER DATABASE %I SET plan_cache_mode = ''force_custom_plan''', current_database());
            END IF;
        END $settings$
    $command$) JOIN pg_dist_node USING (nodeid) WHERE NOT success;
    IF failed IS NOT NULL THEN
        RAISE EXCEPTION 'cannot change the settings of every machine' USING DETAIL = failed;
    END IF;
END $$;

SET client_min_messages = warning; -- Citus tells that it copies rows
BEGIN;
-- Foreign keys refer to reference tables. So Citus needs to use one connection to each machine within the transaction.
SET LOCAL citus.multi_shard_modify_mode = 'sequential';
-- A table that refers to a reference table would become one that Citus manages, before its own turn, and Citus would refuse the rest.
SET LOCAL citus.enable_local_reference_table_foreign_keys = off;

-- The triggers must not see rows that move: the history has them, and apps are counted.
DO $$
DECLARE
    part   text;
    dist   text;
    moved  text[];
BEGIN
    -- On every machine, a table before those that refer to it. A token is read before its client is known.
    FOREACH part IN ARRAY ARRAY[
        'goose_db_version',
        'catalog_vendors',
        'catalog_categories',
        'catalog_apps',
        'catalog_app_categories',
        'catalog_url_patterns',
        'catalog_desktop_aliases',
        'catalog_state',
        'catalog_revisions',
        'tokens',
        'token_clients',
        'change_feed',
        'webhook_state',
        'webhooks',
        'webhook_deliveries'
    ] LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = part::regclass);
        EXECUTE format('ALTER TABLE %I DISABLE TRIGGER USER', part);
        PERFORM create_reference_table(part);
        moved := moved || part;
    END LOOP;
    -- By client. apps comes after the tables that its triggers write to.
    FOR part, dist IN VALUES
        ('clients', 'id'),
        ('client_app_counts', 'client_id'),
        ('app_changes', 'client_id'),
        ('apps', 'client_id')
    LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = part::regclass);
        EXECUTE format('ALTER TABLE %I DISABLE TRIGGER USER', part);
        PERFORM create_distributed_table(part, dist, colocate_with := CASE part WHEN 'clients' THEN 'none' ELSE 'clients' END);
        moved := moved || part;
    END LOOP;
    FOREACH part IN ARRAY coalesce(moved, '{}') LOOP
        EXECUTE format('ALTER TABLE %I ENABLE TRIGGER USER', part);
        -- The coordinator still has the old rows on its disk. Nothing reads them, but a later migration would check them.
        PERFORM truncate_local_data_after_distributing_table(part);
    END LOOP;
END $$;

-- No table depends on this function. Citus has copied it only if the machines were there before it.
SELECT create_distributed_function('erase_client(uuid, integer)') WHERE NOT EXISTS (
    SELECT FROM pg_dist_object WHERE classid = 'pg_proc'::regclass AND objid = 'erase_client(uuid, integer)'::regprocedure);
-- The copies of functions may be called by everyone.
REVOKE EXECUTE ON FUNCTION erase_client(uuid, integer), record_catalog_changes(), record_catalog_set_changes(), end_catalog_changes()
    FROM PUBLIC;

-- Citus can keep the plan of a statement on one row of one table only. So what a patch looks up elsewhere on PostgreSQL is looked up where
-- the row is: a patch of an app whose client is not active finds no row to change.
CREATE OR REPLACE FUNCTION skip_unless_active() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    now_is text;
BEGIN
    SELECT status INTO now_is FROM clients WHERE id = NEW.client_id;
    IF now_is <> 'active' THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END;
$$;
CREATE OR REPLACE TRIGGER apps_of_active_clients BEFORE UPDATE ON apps
    FOR EACH ROW WHEN (NEW.version <> OLD.version) EXECUTE FUNCTION skip_unless_active();

-- A change feed needs the transaction ids of one machine. Without a feed, changes need no position.
CREATE OR REPLACE FUNCTION change_position() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 0::bigint';
UPDATE change_feed SET distributed = true WHERE NOT distributed;
COMMIT;

-- Each machine has the whole catalog, and its triggers write the history of all of it there, to a table of the machine. A new machine
-- needs that table before it gets the catalog, and what was in it before.
DO $$
DECLARE
    command text;
    failed  text;
BEGIN
    FOR command IN
        SELECT $command$CREATE TABLE IF NOT EXISTS catalog_changes (
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
        )$command$
        UNION ALL
        SELECT format('ALTER TABLE catalog_changes OWNER TO %I', tableowner)
        FROM pg_tables WHERE schemaname = 'public' AND tablename = 'catalog_changes'
        UNION ALL
        SELECT format('GRANT %s ON catalog_changes TO %s', privilege_type, coalesce(grantee::regrole::text, 'PUBLIC'))
        FROM pg_class CROSS JOIN aclexplode(relacl) WHERE oid = 'catalog_changes'::regclass AND grantee <> relowner
    LOOP
        SELECT string_agg(format('%s:%s: %s', nodename, nodeport, result), E'\n') INTO failed
        FROM run_command_on_workers(command) WHERE NOT success;
        IF failed IS NOT NULL THEN
            RAISE EXCEPTION 'cannot make the table catalog_changes on every machine' USING DETAIL = failed;
        END IF;
    END LOOP;
END $$;
SELECT replicate_reference_tables('block_writes');
DO $$
DECLARE
    part   text;
    failed text;
BEGIN
    FOR part IN
        SELECT json_agg(c)::text FROM (SELECT *, row_number() OVER () / 1000 AS chunk FROM catalog_changes) AS c GROUP BY chunk
    LOOP
        SELECT string_agg(format('%s:%s: %s', nodename, nodeport, result), E'\n') INTO failed
        FROM run_command_on_workers(format('INSERT INTO catalog_changes SELECT * FROM json_populate_recordset(NULL::catalog_changes, %L)
            ON CONFLICT DO NOTHING', part)) WHERE NOT success;
        IF failed IS NOT NULL THEN
            RAISE EXCEPTION 'cannot copy catalog_changes to every machine' USING DETAIL = failed;
        END IF;
    END LOOP;
END $$;
