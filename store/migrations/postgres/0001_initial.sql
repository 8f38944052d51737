-- +goose Up

-- Every per-client table is keyed by client_id first, so that it can be partitioned or distributed by client.
CREATE TABLE clients (
    id         uuid PRIMARY KEY,
    name       text COLLATE "C" NOT NULL,
    name_key   text COLLATE "C" NOT NULL,
    status     text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
    version    bigint NOT NULL,
    created_at timestamptz(3) NOT NULL,
    updated_at timestamptz(3) NOT NULL
);
CREATE INDEX clients_by_name ON clients (name_key, id);
CREATE INDEX clients_by_creation ON clients (created_at, id);
CREATE INDEX clients_by_change ON clients (updated_at, id);

CREATE TABLE catalog_vendors (
    id         uuid PRIMARY KEY,
    name       text COLLATE "C" NOT NULL,
    name_key   text COLLATE "C" NOT NULL UNIQUE,
    url        text,
    version    bigint NOT NULL,
    created_at timestamptz(3) NOT NULL,
    updated_at timestamptz(3) NOT NULL
);

CREATE TABLE catalog_categories (
    id         uuid PRIMARY KEY,
    name       text COLLATE "C" NOT NULL,
    name_key   text COLLATE "C" NOT NULL UNIQUE,
    version    bigint NOT NULL,
    created_at timestamptz(3) NOT NULL,
    updated_at timestamptz(3) NOT NULL
);

CREATE TABLE catalog_apps (
    id             uuid PRIMARY KEY,
    canonical_name text COLLATE "C" NOT NULL,
    name_key       text COLLATE "C" NOT NULL UNIQUE,
    description    text,
    display_colour text,
    logo           text,
    type           text COLLATE "C",
    vendor_id      uuid REFERENCES catalog_vendors (id),
    version        bigint NOT NULL,
    created_at     timestamptz(3) NOT NULL,
    updated_at     timestamptz(3) NOT NULL
);
-- No index serves the lists of the catalog: servers have all of it in memory.
CREATE INDEX catalog_apps_vendor ON catalog_apps (vendor_id);

CREATE TABLE catalog_app_categories (
    catalog_app_id uuid NOT NULL REFERENCES catalog_apps (id) ON DELETE CASCADE,
    category_id    uuid NOT NULL REFERENCES catalog_categories (id),
    PRIMARY KEY (catalog_app_id, category_id)
);
CREATE INDEX catalog_app_categories_category ON catalog_app_categories (category_id);

CREATE TABLE catalog_url_patterns (
    id             uuid PRIMARY KEY,
    catalog_app_id uuid NOT NULL REFERENCES catalog_apps (id) ON DELETE CASCADE,
    pattern        text COLLATE "C" NOT NULL,
    name_key       text COLLATE "C" NOT NULL,
    created_at     timestamptz(3) NOT NULL,
    UNIQUE (catalog_app_id, pattern)
);
CREATE INDEX catalog_url_patterns_by_name ON catalog_url_patterns (catalog_app_id, name_key, id);
CREATE INDEX catalog_url_patterns_by_creation ON catalog_url_patterns (catalog_app_id, created_at, id);

CREATE TABLE catalog_desktop_aliases (
    id             uuid PRIMARY KEY,
    catalog_app_id uuid NOT NULL REFERENCES catalog_apps (id) ON DELETE CASCADE,
    alias          text COLLATE "C" NOT NULL,
    name_key       text COLLATE "C" NOT NULL,
    created_at     timestamptz(3) NOT NULL,
    UNIQUE (catalog_app_id, alias)
);
CREATE INDEX catalog_desktop_aliases_by_name ON catalog_desktop_aliases (catalog_app_id, name_key, id);
CREATE INDEX catalog_desktop_aliases_by_creation ON catalog_desktop_aliases (catalog_app_id, created_at, id);

-- One row: counts the transactions that changed the catalog. Servers compare it with their snapshot.
CREATE TABLE catalog_state (
    id       smallint PRIMARY KEY CHECK (id = 1),
    revision bigint NOT NULL
);
INSERT INTO catalog_state (id, revision) VALUES (1, 1);

-- name_key repeats that of the catalog app, so that a page sorted by name is read off an index of this table.
-- actor_id, actor_name and request_id say who wrote the row last; the history trigger reads them.
-- Free space in each page keeps updates of unindexed columns on it (HOT). So no index may hold a column that patches set,
-- updated_at among them: a patch would cost half as much again.
CREATE TABLE apps (
    client_id      uuid NOT NULL REFERENCES clients (id),
    id             uuid NOT NULL,
    catalog_app_id uuid NOT NULL REFERENCES catalog_apps (id),
    name_key       text COLLATE "C" NOT NULL,
    is_favorite    boolean NOT NULL,
    is_approved    boolean NOT NULL,
    license_count  integer CHECK (license_count >= 0),
    version        bigint NOT NULL,
    actor_id       uuid NOT NULL,
    actor_name     text NOT NULL,
    request_id     text NOT NULL,
    created_at     timestamptz(3) NOT NULL,
    updated_at     timestamptz(3) NOT NULL,
    PRIMARY KEY (client_id, id),
    UNIQUE (client_id, catalog_app_id)
) WITH (fillfactor = 90);
CREATE INDEX apps_catalog_app ON apps (catalog_app_id);
CREATE INDEX apps_by_name ON apps (client_id, name_key, id);
CREATE INDEX apps_by_creation ON apps (client_id, created_at, id);

-- How many apps a client has, counted by a trigger: reading this costs less than a page of them, whatever the number. The sum
-- over 16 slots counts; an app's id decides its slot, so that those who add apps to one client seldom wait for each other.
CREATE TABLE client_app_counts (
    client_id uuid NOT NULL,
    slot      smallint NOT NULL,
    total     bigint NOT NULL,
    PRIMARY KEY (client_id, slot)
) WITH (fillfactor = 50);

-- old_value and new_value are JSON texts. The version of the app orders its changes: rows are written under its lock.
CREATE TABLE app_changes (
    client_id  uuid NOT NULL,
    app_id     uuid NOT NULL,
    version    bigint NOT NULL,
    field      text COLLATE "C" NOT NULL,
    old_value  text NOT NULL,
    new_value  text NOT NULL,
    actor_id   uuid NOT NULL,
    actor_name text NOT NULL,
    request_id text NOT NULL,
    changed_at timestamptz(3) NOT NULL,
    PRIMARY KEY (client_id, app_id, version, field)
);
-- An app is one client's: without being told, the planner takes a long history for a short one, and sorts it.
CREATE STATISTICS app_changes_of_app (dependencies) ON app_id, client_id FROM app_changes;

CREATE TABLE tokens (
    id          uuid PRIMARY KEY,
    name        text NOT NULL,
    hash        bytea NOT NULL UNIQUE,
    scopes      text NOT NULL,
    all_clients boolean NOT NULL,
    created_at  timestamptz(3) NOT NULL,
    expires_at  timestamptz(3),
    revoked_at  timestamptz(3)
);

CREATE TABLE token_clients (
    token_id  uuid NOT NULL REFERENCES tokens (id) ON DELETE CASCADE,
    client_id uuid NOT NULL,
    PRIMARY KEY (token_id, client_id)
);

-- The history is written here and nowhere else: no path can forget it, and it is atomic with the change.
-- It touches rows of the same client only, so that a database distributed by client can run it.
-- +goose StatementBegin
CREATE FUNCTION record_app_changes() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE TRIGGER apps_history AFTER INSERT OR UPDATE OR DELETE ON apps
    FOR EACH ROW EXECUTE FUNCTION record_app_changes();

-- Once for each statement, however many rows it has. This too touches rows of the same clients only, and writes them one by
-- one: a database distributed by client sends each to where its client is, and cannot do so with those of a query.
-- +goose StatementBegin
CREATE FUNCTION count_apps() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    part record;
BEGIN
    FOR part IN
        SELECT client_id, get_byte(uuid_send(id), 15) % 16 AS slot, CASE TG_OP WHEN 'INSERT' THEN count(*) ELSE -count(*) END AS total
        FROM moved GROUP BY client_id, slot ORDER BY client_id, slot
    LOOP
        INSERT INTO client_app_counts AS c (client_id, slot, total) VALUES (part.client_id, part.slot, part.total)
        ON CONFLICT (client_id, slot) DO UPDATE SET total = c.total + excluded.total;
    END LOOP;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER apps_count_added AFTER INSERT ON apps REFERENCING NEW TABLE AS moved
    FOR EACH STATEMENT EXECUTE FUNCTION count_apps();
CREATE TRIGGER apps_count_removed AFTER DELETE ON apps REFERENCING OLD TABLE AS moved
    FOR EACH STATEMENT EXECUTE FUNCTION count_apps();

-- +goose Down
DROP TABLE token_clients, tokens, app_changes, apps, client_app_counts, catalog_state, catalog_app_categories, catalog_url_patterns,
    catalog_desktop_aliases, catalog_apps, catalog_categories, catalog_vendors, clients;
DROP FUNCTION record_app_changes(), count_apps();
