-- +goose Up

-- Times are milliseconds since 1970 in UTC, ids are lower-case text. TIMESTAMP and BOOLEAN are what the driver goes by.
-- Every per-client table is keyed by client_id first.
CREATE TABLE clients (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    name_key   TEXT NOT NULL,
    status     TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
    version    INTEGER NOT NULL,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
) WITHOUT ROWID;
CREATE INDEX clients_by_name ON clients (name_key, id);
CREATE INDEX clients_by_creation ON clients (created_at, id);
CREATE INDEX clients_by_change ON clients (updated_at, id);

CREATE TABLE catalog_vendors (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    name_key   TEXT NOT NULL UNIQUE,
    url        TEXT,
    version    INTEGER NOT NULL,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
) WITHOUT ROWID;

CREATE TABLE catalog_categories (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    name_key   TEXT NOT NULL UNIQUE,
    version    INTEGER NOT NULL,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
) WITHOUT ROWID;

CREATE TABLE catalog_apps (
    id             TEXT PRIMARY KEY,
    canonical_name TEXT NOT NULL,
    name_key       TEXT NOT NULL UNIQUE,
    description    TEXT,
    display_colour TEXT,
    logo           TEXT,
    type           TEXT,
    vendor_id      TEXT REFERENCES catalog_vendors (id),
    version        INTEGER NOT NULL,
    created_at     TIMESTAMP NOT NULL,
    updated_at     TIMESTAMP NOT NULL
) WITHOUT ROWID;
-- No index serves the lists of the catalog: servers have all of it in memory.
CREATE INDEX catalog_apps_vendor ON catalog_apps (vendor_id);

CREATE TABLE catalog_app_categories (
    catalog_app_id TEXT NOT NULL REFERENCES catalog_apps (id) ON DELETE CASCADE,
    category_id    TEXT NOT NULL REFERENCES catalog_categories (id),
    PRIMARY KEY (catalog_app_id, category_id)
) WITHOUT ROWID;
CREATE INDEX catalog_app_categories_category ON catalog_app_categories (category_id);

CREATE TABLE catalog_url_patterns (
    id             TEXT PRIMARY KEY,
    catalog_app_id TEXT NOT NULL REFERENCES catalog_apps (id) ON DELETE CASCADE,
    pattern        TEXT NOT NULL,
    name_key       TEXT NOT NULL,
    created_at     TIMESTAMP NOT NULL,
    UNIQUE (catalog_app_id, pattern)
) WITHOUT ROWID;
CREATE INDEX catalog_url_patterns_by_name ON catalog_url_patterns (catalog_app_id, name_key, id);
CREATE INDEX catalog_url_patterns_by_creation ON catalog_url_patterns (catalog_app_id, created_at, id);

CREATE TABLE catalog_desktop_aliases (
    id             TEXT PRIMARY KEY,
    catalog_app_id TEXT NOT NULL REFERENCES catalog_apps (id) ON DELETE CASCADE,
    alias          TEXT NOT NULL,
    name_key       TEXT NOT NULL,
    created_at     TIMESTAMP NOT NULL,
    UNIQUE (catalog_app_id, alias)
) WITHOUT ROWID;
CREATE INDEX catalog_desktop_aliases_by_name ON catalog_desktop_aliases (catalog_app_id, name_key, id);
CREATE INDEX catalog_desktop_aliases_by_creation ON catalog_desktop_aliases (catalog_app_id, created_at, id);

-- One row: counts the transactions that changed the catalog. Servers compare it with their snapshot.
CREATE TABLE catalog_state (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL
);
INSERT INTO catalog_state (id, revision) VALUES (1, 1);

-- name_key repeats that of the catalog app, so that a page sorted by name is read off an index of this table.
-- actor_id, actor_name and request_id say who wrote the row last; the history triggers read them.
CREATE TABLE apps (
    client_id      TEXT NOT NULL REFERENCES clients (id),
    id             TEXT NOT NULL,
    catalog_app_id TEXT NOT NULL REFERENCES catalog_apps (id),
    name_key       TEXT NOT NULL,
    is_favorite    BOOLEAN NOT NULL,
    is_approved    BOOLEAN NOT NULL,
    license_count  INTEGER CHECK (license_count BETWEEN 0 AND 2147483647),
    version        INTEGER NOT NULL,
    actor_id       TEXT NOT NULL,
    actor_name     TEXT NOT NULL,
    request_id     TEXT NOT NULL,
    created_at     TIMESTAMP NOT NULL,
    updated_at     TIMESTAMP NOT NULL,
    PRIMARY KEY (client_id, id),
    UNIQUE (client_id, catalog_app_id)
) WITHOUT ROWID;
CREATE INDEX apps_catalog_app ON apps (catalog_app_id);
CREATE INDEX apps_by_name ON apps (client_id, name_key, id);
CREATE INDEX apps_by_creation ON apps (client_id, created_at, id);

-- How many apps a client has, counted by triggers: reading this costs less than a page of them, whatever the number. There
-- is one slot: where nobody writes beside another, nobody waits for one.
CREATE TABLE client_app_counts (
    client_id TEXT NOT NULL,
    slot      INTEGER NOT NULL,
    total     INTEGER NOT NULL,
    PRIMARY KEY (client_id, slot)
) WITHOUT ROWID;

-- old_value and new_value are JSON texts. The version of the app orders its changes.
CREATE TABLE app_changes (
    client_id  TEXT NOT NULL,
    app_id     TEXT NOT NULL,
    version    INTEGER NOT NULL,
    field      TEXT NOT NULL,
    old_value  TEXT NOT NULL,
    new_value  TEXT NOT NULL,
    actor_id   TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    request_id TEXT NOT NULL,
    changed_at TIMESTAMP NOT NULL,
    PRIMARY KEY (client_id, app_id, version, field)
) WITHOUT ROWID;

CREATE TABLE tokens (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    hash        BLOB NOT NULL UNIQUE,
    scopes      TEXT NOT NULL,
    all_clients BOOLEAN NOT NULL,
    created_at  TIMESTAMP NOT NULL,
    expires_at  TIMESTAMP,
    revoked_at  TIMESTAMP
) WITHOUT ROWID;

CREATE TABLE token_clients (
    token_id  TEXT NOT NULL REFERENCES tokens (id) ON DELETE CASCADE,
    client_id TEXT NOT NULL,
    PRIMARY KEY (token_id, client_id)
) WITHOUT ROWID;

-- The history is written here and nowhere else: no path can forget it, and it is atomic with the change.
-- +goose StatementBegin
CREATE TRIGGER apps_history_insert AFTER INSERT ON apps BEGIN
    INSERT INTO app_changes
    SELECT NEW.client_id, NEW.id, NEW.version, c.field, c.old_value, c.new_value,
           NEW.actor_id, NEW.actor_name, NEW.request_id, NEW.updated_at
    FROM (
        SELECT 'app' AS field, 'null' AS old_value, '"' || NEW.catalog_app_id || '"' AS new_value
        UNION ALL SELECT 'is_favorite', 'false', iif(NEW.is_favorite, 'true', 'false')
        UNION ALL SELECT 'is_approved', 'false', iif(NEW.is_approved, 'true', 'false')
        UNION ALL SELECT 'license_count', 'null', coalesce(CAST(NEW.license_count AS TEXT), 'null')
    ) AS c
    WHERE c.old_value <> c.new_value;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER apps_history_update AFTER UPDATE ON apps BEGIN
    INSERT INTO app_changes
    SELECT NEW.client_id, NEW.id, NEW.version, c.field, c.old_value, c.new_value,
           NEW.actor_id, NEW.actor_name, NEW.request_id, NEW.updated_at
    FROM (
        SELECT 'is_favorite' AS field, iif(OLD.is_favorite, 'true', 'false') AS old_value,
               iif(NEW.is_favorite, 'true', 'false') AS new_value
        UNION ALL SELECT 'is_approved', iif(OLD.is_approved, 'true', 'false'), iif(NEW.is_approved, 'true', 'false')
        UNION ALL SELECT 'license_count', coalesce(CAST(OLD.license_count AS TEXT), 'null'),
               coalesce(CAST(NEW.license_count AS TEXT), 'null')
    ) AS c
    WHERE c.old_value <> c.new_value;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER apps_history_delete AFTER DELETE ON apps BEGIN
    INSERT INTO app_changes VALUES (OLD.client_id, OLD.id, OLD.version, 'app', '"' || OLD.catalog_app_id || '"', 'null',
        OLD.actor_id, OLD.actor_name, OLD.request_id, OLD.updated_at);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER apps_count_added AFTER INSERT ON apps BEGIN
    INSERT INTO client_app_counts VALUES (NEW.client_id, 0, 1) ON CONFLICT (client_id, slot) DO UPDATE SET total = total + 1;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER apps_count_removed AFTER DELETE ON apps BEGIN
    UPDATE client_app_counts SET total = total - 1 WHERE client_id = OLD.client_id AND slot = 0;
END;
-- +goose StatementEnd

-- +goose Down
DROP TABLE token_clients;
DROP TABLE tokens;
DROP TABLE app_changes;
DROP TABLE apps;
DROP TABLE client_app_counts;
DROP TABLE catalog_state;
DROP TABLE catalog_app_categories;
DROP TABLE catalog_url_patterns;
DROP TABLE catalog_desktop_aliases;
DROP TABLE catalog_apps;
DROP TABLE catalog_categories;
DROP TABLE catalog_vendors;
DROP TABLE clients;
