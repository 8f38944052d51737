-- +goose Up
SET LOCAL lock_timeout = '1s';

-- actor_id, actor_name and request_id say who wrote the row last; the history trigger reads them. deleting_since is set from the
-- beginning of a client's deletion until its last row is erased.
ALTER TABLE clients
    ADD COLUMN actor_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    ADD COLUMN actor_name text NOT NULL DEFAULT '',
    ADD COLUMN request_id text NOT NULL DEFAULT '',
    ADD COLUMN deleting_since timestamptz(3) CHECK (deleting_since IS NULL OR status = 'suspended');
-- Every write to apps looks here, in its own statement, and usually finds no row.
CREATE INDEX clients_not_active ON clients (id) WHERE status <> 'active';
CREATE INDEX token_clients_client ON token_clients (client_id);

-- The history of a client itself is in app_changes, under an app_id of zeros: whoever follows the changes of a client reads one table.
-- +goose StatementBegin
CREATE FUNCTION record_client_changes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    no_app CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO app_changes VALUES (NEW.id, no_app, NEW.version, 'client', 'null', to_json(NEW.id)::text,
            NEW.actor_id, NEW.actor_name, NEW.request_id, NEW.updated_at);
        INSERT INTO app_changes VALUES (NEW.id, no_app, NEW.version, 'client_name', 'null', to_json(NEW.name)::text,
            NEW.actor_id, NEW.actor_name, NEW.request_id, NEW.updated_at);
        IF NEW.status <> 'active' THEN
            INSERT INTO app_changes VALUES (NEW.id, no_app, NEW.version, 'client_status', '"active"', to_json(NEW.status)::text,
                NEW.actor_id, NEW.actor_name, NEW.request_id, NEW.updated_at);
        END IF;
        RETURN NULL;
    END IF;
    IF OLD.name <> NEW.name THEN
        INSERT INTO app_changes VALUES (NEW.id, no_app, NEW.version, 'client_name', to_json(OLD.name)::text, to_json(NEW.name)::text,
            NEW.actor_id, NEW.actor_name, NEW.request_id, NEW.updated_at);
    END IF;
    IF OLD.status <> NEW.status THEN
        INSERT INTO app_changes VALUES (NEW.id, no_app, NEW.version, 'client_status', to_json(OLD.status)::text, to_json(NEW.status)::text,
            NEW.actor_id, NEW.actor_name, NEW.request_id, NEW.updated_at);
    END IF;
    IF OLD.deleting_since IS NULL AND NEW.deleting_since IS NOT NULL THEN
        INSERT INTO app_changes VALUES (NEW.id, no_app, NEW.version, 'client', to_json(NEW.id)::text, 'null',
            NEW.actor_id, NEW.actor_name, NEW.request_id, NEW.updated_at);
    END IF;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER clients_history AFTER INSERT OR UPDATE ON clients
    FOR EACH ROW EXECUTE FUNCTION record_client_changes();

-- The apps of a client that is being deleted leave no history: it is erased too.
-- +goose StatementBegin
CREATE FUNCTION record_app_removal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM clients WHERE id = OLD.client_id AND status <> 'active' AND deleting_since IS NOT NULL) THEN
        INSERT INTO app_changes VALUES (OLD.client_id, OLD.id, OLD.version, 'app',
            to_json(OLD.catalog_app_id)::text, 'null', OLD.actor_id, OLD.actor_name, OLD.request_id, OLD.updated_at);
    END IF;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

DROP TRIGGER apps_history ON apps;
CREATE TRIGGER apps_history AFTER INSERT OR UPDATE ON apps
    FOR EACH ROW EXECUTE FUNCTION record_app_changes();
CREATE TRIGGER apps_history_delete AFTER DELETE ON apps
    FOR EACH ROW EXECUTE FUNCTION record_app_removal();

-- Erases at most at_most apps and changes of a client that is being deleted, and with the last of them everything else of it, and
-- returns how many. It erases nothing of any other client, nor while another transaction erases rows of the same one. The change
-- that says that the client was deleted stays. It runs with the rights of its owner: a role that serves need not be able to erase
-- the history.
-- +goose StatementBegin
CREATE FUNCTION erase_client(client uuid, at_most integer) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    apps_erased    integer;
    changes_erased integer;
BEGIN
    PERFORM 1 FROM clients WHERE id = client AND status <> 'active' AND deleting_since IS NOT NULL FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    DELETE FROM apps WHERE client_id = client
        AND id = ANY (ARRAY(SELECT id FROM apps WHERE client_id = client ORDER BY id LIMIT at_most));
    GET DIAGNOSTICS apps_erased = ROW_COUNT;
    DELETE FROM app_changes WHERE client_id = client AND (app_id, version, field) IN (
        SELECT app_id, version, field FROM app_changes WHERE client_id = client AND NOT (field = 'client' AND new_value = 'null')
        ORDER BY app_id, version, field LIMIT at_most - apps_erased);
    GET DIAGNOSTICS changes_erased = ROW_COUNT;
    IF apps_erased + changes_erased < at_most THEN
        DELETE FROM client_app_counts WHERE client_id = client;
        DELETE FROM token_clients WHERE client_id = client;
        DELETE FROM clients WHERE id = client;
    END IF;
    RETURN apps_erased + changes_erased;
END;
$$;
-- +goose StatementEnd

-- No temporary table may stand in for one of the schema's. roles.sql says who may call it.
-- +goose StatementBegin
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION erase_client(uuid, integer) SET search_path = %I, pg_temp', current_schema());
END;
$$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION erase_client(uuid, integer) FROM PUBLIC;

-- +goose Down
DROP FUNCTION erase_client(uuid, integer);
DROP TRIGGER apps_history_delete ON apps;
DROP FUNCTION record_app_removal();
DROP TRIGGER apps_history ON apps;
CREATE TRIGGER apps_history AFTER INSERT OR UPDATE OR DELETE ON apps
    FOR EACH ROW EXECUTE FUNCTION record_app_changes();
DROP TRIGGER clients_history ON clients;
DROP FUNCTION record_client_changes();
DROP INDEX token_clients_client;
DROP INDEX clients_not_active;
ALTER TABLE clients DROP COLUMN actor_id, DROP COLUMN actor_name, DROP COLUMN request_id, DROP COLUMN deleting_since;
