-- +goose Up

-- One row. nonce is in every cursor of the change feed, and is null until a server makes one: in a new database and in a copy. Changes
-- before the pruned position are no longer kept, and with them some that are older than pruned_before.
CREATE TABLE change_feed (
    id                INTEGER PRIMARY KEY CHECK (id = 1),
    incarnation       INTEGER NOT NULL,
    database_id       TEXT NOT NULL,
    nonce             TEXT,
    distributed       BOOLEAN NOT NULL,
    pruned_position   INTEGER NOT NULL,
    pruned_before     TIMESTAMP NOT NULL
);
INSERT INTO change_feed VALUES (1, 0, '', NULL, false, 0, 0);

DROP TRIGGER apps_history_insert;
DROP TRIGGER apps_history_update;
DROP TRIGGER apps_history_delete;
DROP TRIGGER clients_history_insert;
DROP TRIGGER clients_history_update;

-- There is one writer, so the positions are in the order of commits. No position is given twice, also when its row is gone.
CREATE TABLE app_changes_new (
    position       INTEGER PRIMARY KEY AUTOINCREMENT,
    client_id      TEXT NOT NULL,
    app_id         TEXT NOT NULL,
    catalog_app_id TEXT,
    version        INTEGER NOT NULL,
    field          TEXT NOT NULL,
    old_value      TEXT NOT NULL,
    new_value      TEXT NOT NULL,
    actor_id       TEXT NOT NULL,
    actor_name     TEXT NOT NULL,
    request_id     TEXT NOT NULL,
    changed_at     TIMESTAMP NOT NULL
);
INSERT INTO app_changes_new (client_id, app_id, catalog_app_id, version, field, old_value, new_value, actor_id, actor_name, request_id, changed_at)
SELECT c.client_id, c.app_id,
       coalesce((SELECT catalog_app_id FROM apps WHERE client_id = c.client_id AND id = c.app_id),
                (SELECT iif(new_value = 'null', old_value, new_value) ->> '$' FROM app_changes
                 WHERE client_id = c.client_id AND app_id = c.app_id AND field = 'app' LIMIT 1)),
       c.version, c.field, c.old_value, c.new_value, c.actor_id, c.actor_name, c.request_id, c.changed_at
FROM app_changes AS c ORDER BY c.changed_at, c.client_id, c.app_id, c.version, c.field;
DROP TABLE app_changes;
ALTER TABLE app_changes_new RENAME TO app_changes;
CREATE UNIQUE INDEX app_changes_pkey ON app_changes (client_id, app_id, version, field);

-- +goose StatementBegin
CREATE TRIGGER apps_history_insert AFTER INSERT ON apps BEGIN
    INSERT INTO app_changes (client_id, app_id, catalog_app_id, version, field, old_value, new_value, actor_id, actor_name, request_id, changed_at)
    SELECT NEW.client_id, NEW.id, NEW.catalog_app_id, NEW.version, c.field, c.old_value, c.new_value,
           NEW.actor_id, NEW.actor_name, NEW.request_id, NEW.updated_at
    FROM (
        SELECT 'app' AS field, 'null' AS old_value, '"' || NEW.catalog_app_id || '"' AS new_value
        UNION ALL SELECT 'is_favorite', 'false', iif(NEW.is_favorite, 'true', 'false')
        UNION ALL SELECT 'is_approved', 'false', iif(NEW.is_approved, 'true', 'false')
        UNION ALL SELECT 'license_count', 'null', coalesce(CAST(NEW.license_count AS TEXT), 'null')
    ) AS c
    WHERE c.old_value <> c.new_value ORDER BY c.field;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER apps_history_update AFTER UPDATE ON apps BEGIN
    INSERT INTO app_changes (client_id, app_id, catalog_app_id, version, field, old_value, new_value, actor_id, actor_name, request_id, changed_at)
    SELECT NEW.client_id, NEW.id, NEW.catalog_app_id, NEW.version, c.field, c.old_value, c.new_value,
           NEW.actor_id, NEW.actor_name, NEW.request_id, NEW.updated_at
    FROM (
        SELECT 'is_favorite' AS field, iif(OLD.is_favorite, 'true', 'false') AS old_value,
               iif(NEW.is_favorite, 'true', 'false') AS new_value
        UNION ALL SELECT 'is_approved', iif(OLD.is_approved, 'true', 'false'), iif(NEW.is_approved, 'true', 'false')
        UNION ALL SELECT 'license_count', coalesce(CAST(OLD.license_count AS TEXT), 'null'),
               coalesce(CAST(NEW.license_count AS TEXT), 'null')
    ) AS c
    WHERE c.old_value <> c.new_value ORDER BY c.field;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER apps_history_delete AFTER DELETE ON apps
WHEN NOT EXISTS (SELECT 1 FROM clients WHERE id = OLD.client_id AND status <> 'active' AND deleting_since IS NOT NULL) BEGIN
    INSERT INTO app_changes (client_id, app_id, catalog_app_id, version, field, old_value, new_value, actor_id, actor_name, request_id, changed_at)
    VALUES (OLD.client_id, OLD.id, OLD.catalog_app_id, OLD.version, 'app', '"' || OLD.catalog_app_id || '"', 'null',
        OLD.actor_id, OLD.actor_name, OLD.request_id, OLD.updated_at);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER clients_history_insert AFTER INSERT ON clients BEGIN
    INSERT INTO app_changes (client_id, app_id, catalog_app_id, version, field, old_value, new_value, actor_id, actor_name, request_id, changed_at)
    SELECT NEW.id, '00000000-0000-0000-0000-000000000000', NULL, NEW.version, c.field, c.old_value, c.new_value,
           NEW.actor_id, NEW.actor_name, NEW.request_id, NEW.updated_at
    FROM (
        SELECT 'client' AS field, 'null' AS old_value, '"' || NEW.id || '"' AS new_value
        UNION ALL SELECT 'client_name', 'null', json_quote(NEW.name)
        UNION ALL SELECT 'client_status', '"active"', json_quote(NEW.status)
    ) AS c
    WHERE c.old_value <> c.new_value ORDER BY c.field;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER clients_history_update AFTER UPDATE ON clients BEGIN
    INSERT INTO app_changes (client_id, app_id, catalog_app_id, version, field, old_value, new_value, actor_id, actor_name, request_id, changed_at)
    SELECT NEW.id, '00000000-0000-0000-0000-000000000000', NULL, NEW.version, c.field, c.old_value, c.new_value,
           NEW.actor_id, NEW.actor_name, NEW.request_id, NEW.updated_at
    FROM (
        SELECT 'client_name' AS field, json_quote(OLD.name) AS old_value, json_quote(NEW.name) AS new_value
        UNION ALL SELECT 'client_status', json_quote(OLD.status), json_quote(NEW.status)
        UNION ALL SELECT 'client', '"' || NEW.id || '"', 'null' WHERE OLD.deleting_since IS NULL AND NEW.deleting_since IS NOT NULL
    ) AS c
    WHERE c.old_value <> c.new_value ORDER BY c.field;
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER apps_history_insert;
DROP TRIGGER apps_history_update;
DROP TRIGGER apps_history_delete;
DROP TRIGGER clients_history_insert;
DROP TRIGGER clients_history_update;

CREATE TABLE app_changes_old (
    client_id      TEXT NOT NULL,
    app_id         TEXT NOT NULL,
    version        INTEGER NOT NULL,
    field          TEXT NOT NULL,
    old_value      TEXT NOT NULL,
    new_value      TEXT NOT NULL,
    actor_id       TEXT NOT NULL,
    actor_name     TEXT NOT NULL,
    request_id     TEXT NOT NULL,
    changed_at     TIMESTAMP NOT NULL,
    PRIMARY KEY (client_id, app_id, version, field)
) WITHOUT ROWID;
INSERT INTO app_changes_old (client_id, app_id, version, field, old_value, new_value, actor_id, actor_name, request_id, changed_at)
SELECT client_id, app_id, version, field, old_value, new_value, actor_id, actor_name, request_id, changed_at FROM app_changes;
DROP TABLE app_changes;
ALTER TABLE app_changes_old RENAME TO app_changes;
DROP TABLE change_feed;

-- +goose StatementBegin
CREATE TRIGGER apps_history_insert AFTER INSERT ON apps BEGIN
    INSERT INTO app_changes (client_id, app_id, version, field, old_value, new_value, actor_id, actor_name, request_id, changed_at)
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
    INSERT INTO app_changes (client_id, app_id, version, field, old_value, new_value, actor_id, actor_name, request_id, changed_at)
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
CREATE TRIGGER apps_history_delete AFTER DELETE ON apps
WHEN NOT EXISTS (SELECT 1 FROM clients WHERE id = OLD.client_id AND status <> 'active' AND deleting_since IS NOT NULL) BEGIN
    INSERT INTO app_changes (client_id, app_id, version, field, old_value, new_value, actor_id, actor_name, request_id, changed_at)
    VALUES (OLD.client_id, OLD.id, OLD.version, 'app', '"' || OLD.catalog_app_id || '"', 'null',
        OLD.actor_id, OLD.actor_name, OLD.request_id, OLD.updated_at);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER clients_history_insert AFTER INSERT ON clients BEGIN
    INSERT INTO app_changes (client_id, app_id, version, field, old_value, new_value, actor_id, actor_name, request_id, changed_at)
    SELECT NEW.id, '00000000-0000-0000-0000-000000000000', NEW.version, c.field, c.old_value, c.new_value,
           NEW.actor_id, NEW.actor_name, NEW.request_id, NEW.updated_at
    FROM (
        SELECT 'client' AS field, 'null' AS old_value, '"' || NEW.id || '"' AS new_value
        UNION ALL SELECT 'client_name', 'null', json_quote(NEW.name)
        UNION ALL SELECT 'client_status', '"active"', json_quote(NEW.status)
    ) AS c
    WHERE c.old_value <> c.new_value;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER clients_history_update AFTER UPDATE ON clients BEGIN
    INSERT INTO app_changes (client_id, app_id, version, field, old_value, new_value, actor_id, actor_name, request_id, changed_at)
    SELECT NEW.id, '00000000-0000-0000-0000-000000000000', NEW.version, c.field, c.old_value, c.new_value,
           NEW.actor_id, NEW.actor_name, NEW.request_id, NEW.updated_at
    FROM (
        SELECT 'client_name' AS field, json_quote(OLD.name) AS old_value, json_quote(NEW.name) AS new_value
        UNION ALL SELECT 'client_status', json_quote(OLD.status), json_quote(NEW.status)
        UNION ALL SELECT 'client', '"' || NEW.id || '"', 'null' WHERE OLD.deleting_since IS NULL AND NEW.deleting_since IS NOT NULL
    ) AS c
    WHERE c.old_value <> c.new_value;
END;
-- +goose StatementEnd
