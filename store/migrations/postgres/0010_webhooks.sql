-- +goose Up
SET LOCAL lock_timeout = '1s';

-- One row. All changes before this position are marked: each webhook that follows one of them has a due_at.
CREATE TABLE webhook_state (
    id       smallint PRIMARY KEY CHECK (id = 1),
    position bigint NOT NULL
);
INSERT INTO webhook_state VALUES (1, 0);

-- A webhook is a position in the change feed with an address. client_id is null for all clients. key is a key of the feed as text: what is
-- before it is delivered; position is its first part. A batch is fixed before its first attempt; batch_key is the key behind it. due_at is
-- null while there is nothing to deliver before the position of webhook_state: such a webhook costs nothing. lost says that changes were
-- pruned before they were delivered.
CREATE TABLE webhooks (
    id              uuid PRIMARY KEY,
    client_id       uuid,
    url             text NOT NULL,
    description     text,
    fields          text NOT NULL,
    status          text NOT NULL CHECK (status IN ('active', 'failing', 'disabled')),
    last_error      text,
    lost            text,
    secret          bytea NOT NULL,
    previous_secret bytea,
    previous_until  timestamptz(3),
    created_by      uuid,
    created_at      timestamptz(3) NOT NULL,
    updated_at      timestamptz(3) NOT NULL,
    version         bigint NOT NULL,
    position        bigint NOT NULL,
    key             text NOT NULL,
    batch_id        uuid,
    batch           bytea,
    batch_key       text,
    failures        integer NOT NULL,
    failing_since   timestamptz(3),
    due_at          timestamptz(3) CHECK (due_at IS NULL OR status <> 'disabled'),
    marked          bigint NOT NULL,
    behind_since    timestamptz(3),
    lease_owner     uuid,
    lease_until     timestamptz(3),
    tested_at       timestamptz(3)
);
CREATE INDEX webhooks_due ON webhooks (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX webhooks_client ON webhooks (client_id);
CREATE INDEX webhooks_by_creator ON webhooks (created_by) WHERE created_by IS NOT NULL;
CREATE INDEX webhooks_by_creation ON webhooks (created_at, id);

-- Attempts of the last three days. delivery_id is that of the batch, or a ping's own.
CREATE TABLE webhook_deliveries (
    id           uuid NOT NULL,
    webhook_id   uuid NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    delivery_id  uuid NOT NULL,
    type         text NOT NULL,
    attempted_at timestamptz(3) NOT NULL,
    duration_ms  integer NOT NULL,
    status       integer,
    error        text,
    PRIMARY KEY (webhook_id, id)
);
CREATE INDEX webhook_deliveries_by_time ON webhook_deliveries (webhook_id, attempted_at, id);
CREATE INDEX webhook_deliveries_old ON webhook_deliveries (attempted_at);

-- As before, but the webhooks of the client go with the first piece. Replacing a function resets its search_path, and keeps who may call it.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION erase_client(client uuid, at_most integer) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    apps_erased    integer;
    changes_erased integer;
BEGIN
    PERFORM 1 FROM clients WHERE id = client AND status <> 'active' AND deleting_since IS NOT NULL FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    DELETE FROM webhooks WHERE client_id = client;
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
-- +goose StatementBegin
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION erase_client(uuid, integer) SET search_path = %I, pg_temp', current_schema());
END;
$$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION erase_client(client uuid, at_most integer) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER AS $$
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
-- +goose StatementBegin
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION erase_client(uuid, integer) SET search_path = %I, pg_temp', current_schema());
END;
$$;
-- +goose StatementEnd
DROP TABLE webhook_deliveries;
DROP TABLE webhooks;
DROP TABLE webhook_state;
