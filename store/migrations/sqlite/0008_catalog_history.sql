-- +goose Up

-- Who makes next_revision, and when. The transaction that will make it sets these columns before it writes anything else. An older
-- program does not: next_revision is then not the next one, and the history has no author.
ALTER TABLE catalog_state ADD COLUMN next_revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE catalog_state ADD COLUMN actor_id TEXT NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';
ALTER TABLE catalog_state ADD COLUMN actor_name TEXT NOT NULL DEFAULT '';
ALTER TABLE catalog_state ADD COLUMN request_id TEXT NOT NULL DEFAULT '';
ALTER TABLE catalog_state ADD COLUMN changed_at TIMESTAMP NOT NULL DEFAULT 0;

-- The history of the catalog. old_value and new_value are JSON texts. Its order is that of the revisions: whoever writes the catalog
-- raises the revision before the end.
CREATE TABLE catalog_changes (
    revision   INTEGER NOT NULL,
    entity     TEXT NOT NULL,
    entity_id  TEXT NOT NULL,
    field      TEXT NOT NULL,
    old_value  TEXT NOT NULL,
    new_value  TEXT NOT NULL,
    actor_id   TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    request_id TEXT NOT NULL,
    changed_at TIMESTAMP NOT NULL,
    PRIMARY KEY (revision, entity, entity_id, field)
) WITHOUT ROWID;

-- The revision that is being made, and by whom.
CREATE VIEW catalog_author AS
SELECT revision + 1 AS revision,
       iif(next_revision = revision + 1, actor_id, '00000000-0000-0000-0000-000000000000') AS actor_id,
       iif(next_revision = revision + 1, actor_name, '') AS actor_name,
       iif(next_revision = revision + 1, request_id, '') AS request_id,
       iif(next_revision = revision + 1, changed_at, max(changed_at, CAST(unixepoch('subsec') * 1000 AS INTEGER))) AS changed_at
FROM catalog_state WHERE id = 1;

-- The history is written here and nowhere else: no path can forget it, and it is atomic with the change. Two changes of one field that
-- end up in one revision are one change.
-- +goose StatementBegin
CREATE TRIGGER catalog_apps_history_insert AFTER INSERT ON catalog_apps BEGIN
    INSERT INTO catalog_changes
    SELECT a.revision, 'catalog_app', NEW.id, c.field, c.old_value, c.new_value, a.actor_id, a.actor_name, a.request_id, a.changed_at
    FROM catalog_author AS a, (
        SELECT 'catalog_app' AS field, 'null' AS old_value, json_quote(NEW.id) AS new_value
        UNION ALL SELECT 'canonical_name', 'null', json_quote(NEW.canonical_name)
        UNION ALL SELECT 'description', 'null', json_quote(NEW.description)
        UNION ALL SELECT 'display_colour', 'null', json_quote(NEW.display_colour)
        UNION ALL SELECT 'logo', 'null', json_quote(NEW.logo)
        UNION ALL SELECT 'type', 'null', json_quote(NEW.type)
        UNION ALL SELECT 'vendor_id', 'null', json_quote(NEW.vendor_id)
    ) AS c
    WHERE c.old_value <> c.new_value
    ON CONFLICT (revision, entity, entity_id, field) DO UPDATE SET new_value = excluded.new_value,
        actor_id = excluded.actor_id, actor_name = excluded.actor_name, request_id = excluded.request_id, changed_at = excluded.changed_at;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER catalog_apps_history_update AFTER UPDATE ON catalog_apps BEGIN
    INSERT INTO catalog_changes
    SELECT a.revision, 'catalog_app', NEW.id, c.field, c.old_value, c.new_value, a.actor_id, a.actor_name, a.request_id, a.changed_at
    FROM catalog_author AS a, (
        SELECT 'canonical_name' AS field, json_quote(OLD.canonical_name) AS old_value, json_quote(NEW.canonical_name) AS new_value
        UNION ALL SELECT 'description', json_quote(OLD.description), json_quote(NEW.description)
        UNION ALL SELECT 'display_colour', json_quote(OLD.display_colour), json_quote(NEW.display_colour)
        UNION ALL SELECT 'logo', json_quote(OLD.logo), json_quote(NEW.logo)
        UNION ALL SELECT 'type', json_quote(OLD.type), json_quote(NEW.type)
        UNION ALL SELECT 'vendor_id', json_quote(OLD.vendor_id), json_quote(NEW.vendor_id)
    ) AS c
    WHERE c.old_value <> c.new_value
    ON CONFLICT (revision, entity, entity_id, field) DO UPDATE SET new_value = excluded.new_value,
        actor_id = excluded.actor_id, actor_name = excluded.actor_name, request_id = excluded.request_id, changed_at = excluded.changed_at;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER catalog_apps_history_delete AFTER DELETE ON catalog_apps BEGIN
    INSERT INTO catalog_changes
    SELECT a.revision, 'catalog_app', OLD.id, 'catalog_app', json_quote(OLD.id), 'null', a.actor_id, a.actor_name, a.request_id, a.changed_at
    FROM catalog_author AS a WHERE true
    ON CONFLICT (revision, entity, entity_id, field) DO UPDATE SET new_value = excluded.new_value,
        actor_id = excluded.actor_id, actor_name = excluded.actor_name, request_id = excluded.request_id, changed_at = excluded.changed_at;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER catalog_vendors_history_insert AFTER INSERT ON catalog_vendors BEGIN
    INSERT INTO catalog_changes
    SELECT a.revision, 'vendor', NEW.id, c.field, c.old_value, c.new_value, a.actor_id, a.actor_name, a.request_id, a.changed_at
    FROM catalog_author AS a, (
        SELECT 'vendor' AS field, 'null' AS old_value, json_quote(NEW.id) AS new_value
        UNION ALL SELECT 'name', 'null', json_quote(NEW.name)
        UNION ALL SELECT 'url', 'null', json_quote(NEW.url)
    ) AS c
    WHERE c.old_value <> c.new_value
    ON CONFLICT (revision, entity, entity_id, field) DO UPDATE SET new_value = excluded.new_value,
        actor_id = excluded.actor_id, actor_name = excluded.actor_name, request_id = excluded.request_id, changed_at = excluded.changed_at;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER catalog_vendors_history_update AFTER UPDATE ON catalog_vendors BEGIN
    INSERT INTO catalog_changes
    SELECT a.revision, 'vendor', NEW.id, c.field, c.old_value, c.new_value, a.actor_id, a.actor_name, a.request_id, a.changed_at
    FROM catalog_author AS a, (
        SELECT 'name' AS field, json_quote(OLD.name) AS old_value, json_quote(NEW.name) AS new_value
        UNION ALL SELECT 'url', json_quote(OLD.url), json_quote(NEW.url)
    ) AS c
    WHERE c.old_value <> c.new_value
    ON CONFLICT (revision, entity, entity_id, field) DO UPDATE SET new_value = excluded.new_value,
        actor_id = excluded.actor_id, actor_name = excluded.actor_name, request_id = excluded.request_id, changed_at = excluded.changed_at;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER catalog_vendors_history_delete AFTER DELETE ON catalog_vendors BEGIN
    INSERT INTO catalog_changes
    SELECT a.revision, 'vendor', OLD.id, 'vendor', json_quote(OLD.id), 'null', a.actor_id, a.actor_name, a.request_id, a.changed_at
    FROM catalog_author AS a WHERE true
    ON CONFLICT (revision, entity, entity_id, field) DO UPDATE SET new_value = excluded.new_value,
        actor_id = excluded.actor_id, actor_name = excluded.actor_name, request_id = excluded.request_id, changed_at = excluded.changed_at;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER catalog_categories_history_insert AFTER INSERT ON catalog_categories BEGIN
    INSERT INTO catalog_changes
    SELECT a.revision, 'category', NEW.id, c.field, c.old_value, c.new_value, a.actor_id, a.actor_name, a.request_id, a.changed_at
    FROM catalog_author AS a, (
        SELECT 'category' AS field, 'null' AS old_value, json_quote(NEW.id) AS new_value
        UNION ALL SELECT 'name', 'null', json_quote(NEW.name)
    ) AS c
    WHERE c.old_value <> c.new_value
    ON CONFLICT (revision, entity, entity_id, field) DO UPDATE SET new_value = excluded.new_value,
        actor_id = excluded.actor_id, actor_name = excluded.actor_name, request_id = excluded.request_id, changed_at = excluded.changed_at;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER catalog_categories_history_update AFTER UPDATE ON catalog_categories BEGIN
    INSERT INTO catalog_changes
    SELECT a.revision, 'category', NEW.id, c.field, c.old_value, c.new_value, a.actor_id, a.actor_name, a.request_id, a.changed_at
    FROM catalog_author AS a, (
        SELECT 'name' AS field, json_quote(OLD.name) AS old_value, json_quote(NEW.name) AS new_value
    ) AS c
    WHERE c.old_value <> c.new_value
    ON CONFLICT (revision, entity, entity_id, field) DO UPDATE SET new_value = excluded.new_value,
        actor_id = excluded.actor_id, actor_name = excluded.actor_name, request_id = excluded.request_id, changed_at = excluded.changed_at;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER catalog_categories_history_delete AFTER DELETE ON catalog_categories BEGIN
    INSERT INTO catalog_changes
    SELECT a.revision, 'category', OLD.id, 'category', json_quote(OLD.id), 'null', a.actor_id, a.actor_name, a.request_id, a.changed_at
    FROM catalog_author AS a WHERE true
    ON CONFLICT (revision, entity, entity_id, field) DO UPDATE SET new_value = excluded.new_value,
        actor_id = excluded.actor_id, actor_name = excluded.actor_name, request_id = excluded.request_id, changed_at = excluded.changed_at;
END;
-- +goose StatementEnd

-- What is a set of rows is one field of its catalog app. Before the first of the rows is written, these put the whole set as it is
-- into the history, as the old value and for now as the new one. The sets of an app that is removed with its rows leave no history.
-- +goose StatementBegin
CREATE TRIGGER catalog_app_categories_history_insert BEFORE INSERT ON catalog_app_categories
WHEN EXISTS (SELECT 1 FROM catalog_apps WHERE id = NEW.catalog_app_id) AND NOT EXISTS (
    SELECT 1 FROM catalog_changes WHERE revision = (SELECT revision FROM catalog_author)
    AND entity = 'catalog_app' AND entity_id = NEW.catalog_app_id AND field = 'category_ids'
) BEGIN
    INSERT INTO catalog_changes
    SELECT a.revision, 'catalog_app', NEW.catalog_app_id, 'category_ids', present.texts, present.texts,
           a.actor_id, a.actor_name, a.request_id, a.changed_at
    FROM catalog_author AS a, (
        SELECT json_group_array(category_id ORDER BY category_id) AS texts FROM catalog_app_categories WHERE catalog_app_id = NEW.catalog_app_id
    ) AS present;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER catalog_app_categories_history_delete BEFORE DELETE ON catalog_app_categories
WHEN EXISTS (SELECT 1 FROM catalog_apps WHERE id = OLD.catalog_app_id) AND NOT EXISTS (
    SELECT 1 FROM catalog_changes WHERE revision = (SELECT revision FROM catalog_author)
    AND entity = 'catalog_app' AND entity_id = OLD.catalog_app_id AND field = 'category_ids'
) BEGIN
    INSERT INTO catalog_changes
    SELECT a.revision, 'catalog_app', OLD.catalog_app_id, 'category_ids', present.texts, present.texts,
           a.actor_id, a.actor_name, a.request_id, a.changed_at
    FROM catalog_author AS a, (
        SELECT json_group_array(category_id ORDER BY category_id) AS texts FROM catalog_app_categories WHERE catalog_app_id = OLD.catalog_app_id
    ) AS present;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER catalog_url_patterns_history_insert BEFORE INSERT ON catalog_url_patterns
WHEN EXISTS (SELECT 1 FROM catalog_apps WHERE id = NEW.catalog_app_id) AND NOT EXISTS (
    SELECT 1 FROM catalog_changes WHERE revision = (SELECT revision FROM catalog_author)
    AND entity = 'catalog_app' AND entity_id = NEW.catalog_app_id AND field = 'url_patterns'
) BEGIN
    INSERT INTO catalog_changes
    SELECT a.revision, 'catalog_app', NEW.catalog_app_id, 'url_patterns', present.texts, present.texts,
           a.actor_id, a.actor_name, a.request_id, a.changed_at
    FROM catalog_author AS a, (
        SELECT json_group_array(pattern ORDER BY pattern) AS texts FROM catalog_url_patterns WHERE catalog_app_id = NEW.catalog_app_id
    ) AS present;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER catalog_url_patterns_history_delete BEFORE DELETE ON catalog_url_patterns
WHEN EXISTS (SELECT 1 FROM catalog_apps WHERE id = OLD.catalog_app_id) AND NOT EXISTS (
    SELECT 1 FROM catalog_changes WHERE revision = (SELECT revision FROM catalog_author)
    AND entity = 'catalog_app' AND entity_id = OLD.catalog_app_id AND field = 'url_patterns'
) BEGIN
    INSERT INTO catalog_changes
    SELECT a.revision, 'catalog_app', OLD.catalog_app_id, 'url_patterns', present.texts, present.texts,
           a.actor_id, a.actor_name, a.request_id, a.changed_at
    FROM catalog_author AS a, (
        SELECT json_group_array(pattern ORDER BY pattern) AS texts FROM catalog_url_patterns WHERE catalog_app_id = OLD.catalog_app_id
    ) AS present;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER catalog_desktop_aliases_history_insert BEFORE INSERT ON catalog_desktop_aliases
WHEN EXISTS (SELECT 1 FROM catalog_apps WHERE id = NEW.catalog_app_id) AND NOT EXISTS (
    SELECT 1 FROM catalog_changes WHERE revision = (SELECT revision FROM catalog_author)
    AND entity = 'catalog_app' AND entity_id = NEW.catalog_app_id AND field = 'desktop_aliases'
) BEGIN
    INSERT INTO catalog_changes
    SELECT a.revision, 'catalog_app', NEW.catalog_app_id, 'desktop_aliases', present.texts, present.texts,
           a.actor_id, a.actor_name, a.request_id, a.changed_at
    FROM catalog_author AS a, (
        SELECT json_group_array(alias ORDER BY alias) AS texts FROM catalog_desktop_aliases WHERE catalog_app_id = NEW.catalog_app_id
    ) AS present;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER catalog_desktop_aliases_history_delete BEFORE DELETE ON catalog_desktop_aliases
WHEN EXISTS (SELECT 1 FROM catalog_apps WHERE id = OLD.catalog_app_id) AND NOT EXISTS (
    SELECT 1 FROM catalog_changes WHERE revision = (SELECT revision FROM catalog_author)
    AND entity = 'catalog_app' AND entity_id = OLD.catalog_app_id AND field = 'desktop_aliases'
) BEGIN
    INSERT INTO catalog_changes
    SELECT a.revision, 'catalog_app', OLD.catalog_app_id, 'desktop_aliases', present.texts, present.texts,
           a.actor_id, a.actor_name, a.request_id, a.changed_at
    FROM catalog_author AS a, (
        SELECT json_group_array(alias ORDER BY alias) AS texts FROM catalog_desktop_aliases WHERE catalog_app_id = OLD.catalog_app_id
    ) AS present;
END;
-- +goose StatementEnd

-- When a transaction raises the revision, all its rows are written: the sets get their new values. A set that is as it was, and a
-- field that was changed back, have no change.
-- +goose StatementBegin
CREATE TRIGGER catalog_state_history AFTER UPDATE OF revision ON catalog_state BEGIN
    UPDATE catalog_changes SET new_value = CASE field
        WHEN 'category_ids' THEN (SELECT json_group_array(category_id ORDER BY category_id)
            FROM catalog_app_categories WHERE catalog_app_id = entity_id)
        WHEN 'url_patterns' THEN (SELECT json_group_array(pattern ORDER BY pattern)
            FROM catalog_url_patterns WHERE catalog_app_id = entity_id)
        WHEN 'desktop_aliases' THEN (SELECT json_group_array(alias ORDER BY alias)
            FROM catalog_desktop_aliases WHERE catalog_app_id = entity_id)
    END
    WHERE revision > OLD.revision AND revision <= NEW.revision AND field IN ('category_ids', 'url_patterns', 'desktop_aliases');
    DELETE FROM catalog_changes WHERE revision > OLD.revision AND revision <= NEW.revision AND old_value = new_value;
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER catalog_state_history;
DROP TRIGGER catalog_desktop_aliases_history_delete;
DROP TRIGGER catalog_desktop_aliases_history_insert;
DROP TRIGGER catalog_url_patterns_history_delete;
DROP TRIGGER catalog_url_patterns_history_insert;
DROP TRIGGER catalog_app_categories_history_delete;
DROP TRIGGER catalog_app_categories_history_insert;
DROP TRIGGER catalog_categories_history_delete;
DROP TRIGGER catalog_categories_history_update;
DROP TRIGGER catalog_categories_history_insert;
DROP TRIGGER catalog_vendors_history_delete;
DROP TRIGGER catalog_vendors_history_update;
DROP TRIGGER catalog_vendors_history_insert;
DROP TRIGGER catalog_apps_history_delete;
DROP TRIGGER catalog_apps_history_update;
DROP TRIGGER catalog_apps_history_insert;
DROP VIEW catalog_author;
DROP TABLE catalog_changes;
ALTER TABLE catalog_state DROP COLUMN next_revision;
ALTER TABLE catalog_state DROP COLUMN actor_id;
ALTER TABLE catalog_state DROP COLUMN actor_name;
ALTER TABLE catalog_state DROP COLUMN request_id;
ALTER TABLE catalog_state DROP COLUMN changed_at;
