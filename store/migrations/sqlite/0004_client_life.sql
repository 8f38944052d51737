-- +goose Up

-- actor_id, actor_name and request_id say who wrote the row last; the history triggers read them. deleting_since is set from the
-- beginning of a client's deletion until its last row is erased.
ALTER TABLE clients ADD COLUMN actor_id TEXT NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';
ALTER TABLE clients ADD COLUMN actor_name TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN request_id TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN deleting_since TIMESTAMP CHECK (deleting_since IS NULL OR status = 'suspended');
-- Every write to apps looks here, in its own statement, and usually finds no row.
CREATE INDEX clients_not_active ON clients (id) WHERE status <> 'active';
CREATE INDEX token_clients_client ON token_clients (client_id);

-- The history of a client itself is in app_changes, under an app_id of zeros: whoever follows the changes of a client reads one table.
-- +goose StatementBegin
CREATE TRIGGER clients_history_insert AFTER INSERT ON clients BEGIN
    INSERT INTO app_changes
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
    INSERT INTO app_changes
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

-- The apps of a client that is being deleted leave no history: it is erased too.
DROP TRIGGER apps_history_delete;
-- +goose StatementBegin
CREATE TRIGGER apps_history_delete AFTER DELETE ON apps
WHEN NOT EXISTS (SELECT 1 FROM clients WHERE id = OLD.client_id AND status <> 'active' AND deleting_since IS NOT NULL) BEGIN
    INSERT INTO app_changes VALUES (OLD.client_id, OLD.id, OLD.version, 'app', '"' || OLD.catalog_app_id || '"', 'null',
        OLD.actor_id, OLD.actor_name, OLD.request_id, OLD.updated_at);
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER apps_history_delete;
-- +goose StatementBegin
CREATE TRIGGER apps_history_delete AFTER DELETE ON apps BEGIN
    INSERT INTO app_changes VALUES (OLD.client_id, OLD.id, OLD.version, 'app', '"' || OLD.catalog_app_id || '"', 'null',
        OLD.actor_id, OLD.actor_name, OLD.request_id, OLD.updated_at);
END;
-- +goose StatementEnd
DROP TRIGGER clients_history_insert;
DROP TRIGGER clients_history_update;
DROP INDEX token_clients_client;
DROP INDEX clients_not_active;
ALTER TABLE clients DROP COLUMN deleting_since;
ALTER TABLE clients DROP COLUMN actor_id;
ALTER TABLE clients DROP COLUMN actor_name;
ALTER TABLE clients DROP COLUMN request_id;
