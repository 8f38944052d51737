-- +goose Up
SET LOCAL lock_timeout = '1s';

-- One row. The position of a change is the incarnation, shifted by 48 bits, plus the id of the transaction that made it. Transaction
-- ids start anew in a restored database, and a failover can use lost ones again, so a server begins a new incarnation when database_id
-- is no longer that of the database. nonce is in every cursor; it is null while a new incarnation begins. Changes before the pruned
-- position are no longer kept, and with them some that are older than pruned_before. A database that is distributed over several machines
-- has no feed: the transaction ids of one machine say nothing of another's.
CREATE TABLE change_feed (
    id                smallint PRIMARY KEY CHECK (id = 1),
    incarnation       bigint NOT NULL,
    database_id       text NOT NULL,
    nonce             text,
    distributed       boolean NOT NULL,
    pruned_position   bigint NOT NULL,
    pruned_before     timestamptz(3) NOT NULL
);
INSERT INTO change_feed VALUES (1, 0, '', NULL, false, 0, '1970-01-01');

-- A position for the changes of this transaction. A reader that stops at the oldest writing transaction still open misses none.
-- The condition on the key is for batches, which turn sequential scans off: one would be costed so high that it is compiled first.
-- +goose StatementBegin
CREATE FUNCTION change_position() RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN ((SELECT incarnation FROM change_feed WHERE id = 1) << 48) + pg_current_xact_id()::text::bigint;
END;
$$;
-- +goose StatementEnd

-- The position of the last change of the row, which never decreases: the transactions that change a row get their ids in any order.
-- Each update sets it to greatest(position, change_position()), once for all rows of a statement.
ALTER TABLE apps ADD COLUMN position bigint NOT NULL DEFAULT 0;
ALTER TABLE apps ALTER COLUMN position SET DEFAULT change_position();
ALTER TABLE clients ADD COLUMN position bigint NOT NULL DEFAULT 0;
ALTER TABLE clients ALTER COLUMN position SET DEFAULT change_position();

-- Changes that are older than this migration have position 0 and no catalog_app_id.
ALTER TABLE app_changes ADD COLUMN position bigint NOT NULL DEFAULT 0, ADD COLUMN catalog_app_id uuid;

-- An update that does not set the position, by an older server or by hand, gets one here. The row does not keep it, so that the next
-- change of the same app may come before this one, where their transactions overlap.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION record_app_changes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before apps;
    at     bigint := NEW.position;
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO app_changes VALUES (NEW.client_id, NEW.id, NEW.version, 'app', 'null',
            to_json(NEW.catalog_app_id)::text, NEW.actor_id, NEW.actor_name, NEW.request_id, NEW.updated_at, at, NEW.catalog_app_id);
        before.is_favorite := false;
        before.is_approved := false;
    ELSE
        before := OLD;
        IF at = OLD.position THEN
            at := greatest(at, change_position());
        END IF;
    END IF;
    IF before.is_favorite IS DISTINCT FROM NEW.is_favorite THEN
        INSERT INTO app_changes VALUES (NEW.client_id, NEW.id, NEW.version, 'is_favorite',
            before.is_favorite::text, NEW.is_favorite::text,
            NEW.actor_id, NEW.actor_name, NEW.request_id, NEW.updated_at, at, NEW.catalog_app_id);
    END IF;
    IF before.is_approved IS DISTINCT FROM NEW.is_approved THEN
        INSERT INTO app_changes VALUES (NEW.client_id, NEW.id, NEW.version, 'is_approved',
            before.is_approved::text, NEW.is_approved::text,
            NEW.actor_id, NEW.actor_name, NEW.request_id, NEW.updated_at, at, NEW.catalog_app_id);
    END IF;
    IF before.license_count IS DISTINCT FROM NEW.license_count THEN
        INSERT INTO app_changes VALUES (NEW.client_id, NEW.id, NEW.version, 'license_count',
            coalesce(before.license_count::text, 'null'), coalesce(NEW.license_count::text, 'null'),
            NEW.actor_id, NEW.actor_name, NEW.request_id, NEW.updated_at, at, NEW.catalog_app_id);
    END IF;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION record_app_removal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM clients WHERE id = OLD.client_id AND status <> 'active' AND deleting_since IS NOT NULL) THEN
        INSERT INTO app_changes VALUES (OLD.client_id, OLD.id, OLD.version, 'app',
            to_json(OLD.catalog_app_id)::text, 'null', OLD.actor_id, OLD.actor_name, OLD.request_id, OLD.updated_at,
            greatest(OLD.position, change_position()), OLD.catalog_app_id);
    END IF;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION record_client_changes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    no_app CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
    at     bigint := NEW.position;
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO app_changes VALUES (NEW.id, no_app, NEW.version, 'client', 'null', to_json(NEW.id)::text,
            NEW.actor_id, NEW.actor_name, NEW.request_id, NEW.updated_at, at);
        INSERT INTO app_changes VALUES (NEW.id, no_app, NEW.version, 'client_name', 'null', to_json(NEW.name)::text,
            NEW.actor_id, NEW.actor_name, NEW.request_id, NEW.updated_at, at);
        IF NEW.status <> 'active' THEN
            INSERT INTO app_changes VALUES (NEW.id, no_app, NEW.version, 'client_status', '"active"', to_json(NEW.status)::text,
                NEW.actor_id, NEW.actor_name, NEW.request_id, NEW.updated_at, at);
        END IF;
        RETURN NULL;
    END IF;
    IF at = OLD.position THEN
        at := greatest(at, change_position());
    END IF;
    IF OLD.name <> NEW.name THEN
        INSERT INTO app_changes VALUES (NEW.id, no_app, NEW.version, 'client_name', to_json(OLD.name)::text, to_json(NEW.name)::text,
            NEW.actor_id, NEW.actor_name, NEW.request_id, NEW.updated_at, at);
    END IF;
    IF OLD.status <> NEW.status THEN
        INSERT INTO app_changes VALUES (NEW.id, no_app, NEW.version, 'client_status', to_json(OLD.status)::text, to_json(NEW.status)::text,
            NEW.actor_id, NEW.actor_name, NEW.request_id, NEW.updated_at, at);
    END IF;
    IF OLD.deleting_since IS NULL AND NEW.deleting_since IS NOT NULL THEN
        INSERT INTO app_changes VALUES (NEW.id, no_app, NEW.version, 'client', to_json(NEW.id)::text, 'null',
            NEW.actor_id, NEW.actor_name, NEW.request_id, NEW.updated_at, at);
    END IF;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION record_app_changes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before apps;
    after  apps;
BEGIN
    IF TG_OP = 'INSERT' THEN
        after := NEW;
        INSERT INTO app_changes VALUES (NEW.client_id, NEW.id, NEW.version, 'app', 'null',
            to_json(NEW.catalog_app_id)::text, NEW.actor_id, NEW.actor_name, NEW.request_id, NEW.updated_at);
        before.is_favorite := false;
        before.is_approved := false;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO app_changes VALUES (OLD.client_id, OLD.id, OLD.version, 'app',
            to_json(OLD.catalog_app_id)::text, 'null', OLD.actor_id, OLD.actor_name, OLD.request_id, OLD.updated_at);
        RETURN NULL;
    ELSE
        before := OLD;
        after := NEW;
    END IF;
    IF before.is_favorite IS DISTINCT FROM after.is_favorite THEN
        INSERT INTO app_changes VALUES (after.client_id, after.id, after.version, 'is_favorite',
            before.is_favorite::text, after.is_favorite::text,
            after.actor_id, after.actor_name, after.request_id, after.updated_at);
    END IF;
    IF before.is_approved IS DISTINCT FROM after.is_approved THEN
        INSERT INTO app_changes VALUES (after.client_id, after.id, after.version, 'is_approved',
            before.is_approved::text, after.is_approved::text,
            after.actor_id, after.actor_name, after.request_id, after.updated_at);
    END IF;
    IF before.license_count IS DISTINCT FROM after.license_count THEN
        INSERT INTO app_changes VALUES (after.client_id, after.id, after.version, 'license_count',
            coalesce(before.license_count::text, 'null'), coalesce(after.license_count::text, 'null'),
            after.actor_id, after.actor_name, after.request_id, after.updated_at);
    END IF;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION record_app_removal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM clients WHERE id = OLD.client_id AND status <> 'active' AND deleting_since IS NOT NULL) THEN
        INSERT INTO app_changes VALUES (OLD.client_id, OLD.id, OLD.version, 'app',
            to_json(OLD.catalog_app_id)::text, 'null', OLD.actor_id, OLD.actor_name, OLD.request_id, OLD.updated_at);
    END IF;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION record_client_changes() RETURNS trigger LANGUAGE plpgsql AS $$
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
ALTER TABLE app_changes DROP COLUMN position, DROP COLUMN catalog_app_id;
ALTER TABLE clients DROP COLUMN position;
ALTER TABLE apps DROP COLUMN position;
DROP FUNCTION change_position();
DROP TABLE change_feed;
