-- +goose Up
SET LOCAL lock_timeout = '1s';

-- Who makes next_revision, and when. The transaction that will make it sets these columns before it writes anything else. An older
-- program does not: next_revision is then not the next one, and the history has no author.
ALTER TABLE catalog_state
    ADD COLUMN next_revision bigint NOT NULL DEFAULT 0,
    ADD COLUMN actor_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    ADD COLUMN actor_name text NOT NULL DEFAULT '',
    ADD COLUMN request_id text NOT NULL DEFAULT '',
    ADD COLUMN changed_at timestamptz(3) NOT NULL DEFAULT '1970-01-01 00:00:00Z';

-- The history of the catalog. old_value and new_value are JSON texts. Its order is that of the revisions: whoever writes the catalog
-- has locked the row of catalog_state and raises its revision before the end, so that rows of a revision are there when it is.
CREATE TABLE catalog_changes (
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
);

-- The history is written here and nowhere else, with the rights of the owner: a role that serves need not be able to write it. On a
-- database distributed by client, the catalog is on every machine, and its triggers run there: they write to a table of the machine.
--
-- The arguments are the name of the entity and its fields. Two changes of one field that end up in one revision are one change.
-- +goose StatementBegin
CREATE FUNCTION record_catalog_changes() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    state   record;
    before  jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    after   jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
BEGIN
    SELECT revision, next_revision, actor_id, actor_name, request_id, changed_at INTO STRICT state FROM catalog_state WHERE id = 1;
    IF state.next_revision <> state.revision + 1 THEN
        state.actor_id := '00000000-0000-0000-0000-000000000000';
        state.actor_name := '';
        state.request_id := '';
        state.changed_at := greatest(state.changed_at, date_trunc('milliseconds', now()));
    END IF;
    INSERT INTO catalog_changes
    SELECT state.revision + 1, TG_ARGV[0], (coalesce(after, before)->>'id')::uuid, f.field, f.old_value, f.new_value,
           state.actor_id, state.actor_name, state.request_id, state.changed_at
    FROM (
        SELECT TG_ARGV[0], coalesce((before->'id')::text, 'null'), coalesce((after->'id')::text, 'null')
        UNION ALL
        SELECT name, coalesce((before->name)::text, 'null'), coalesce((after->name)::text, 'null')
        FROM unnest(TG_ARGV[1:]) AS name WHERE after IS NOT NULL
    ) AS f (field, old_value, new_value)
    WHERE f.old_value <> f.new_value
    ON CONFLICT (revision, entity, entity_id, field) DO UPDATE SET new_value = excluded.new_value,
        actor_id = excluded.actor_id, actor_name = excluded.actor_name, request_id = excluded.request_id, changed_at = excluded.changed_at;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER catalog_apps_history AFTER INSERT OR UPDATE OR DELETE ON catalog_apps FOR EACH ROW EXECUTE FUNCTION
    record_catalog_changes('catalog_app', 'canonical_name', 'description', 'display_colour', 'logo', 'type', 'vendor_id');
CREATE TRIGGER catalog_vendors_history AFTER INSERT OR UPDATE OR DELETE ON catalog_vendors FOR EACH ROW EXECUTE FUNCTION
    record_catalog_changes('vendor', 'name', 'url');
CREATE TRIGGER catalog_categories_history AFTER INSERT OR UPDATE OR DELETE ON catalog_categories FOR EACH ROW EXECUTE FUNCTION
    record_catalog_changes('category', 'name');

-- What is a set of rows is one field of its catalog app. The argument names the field, and the column. Once for each statement, this
-- writes the whole set as it was and as it is. The sets of an app that is removed with its rows leave no history.
-- +goose StatementBegin
CREATE FUNCTION record_catalog_set_changes() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    state    record;
    apps     uuid[];
    elements text[];
BEGIN
    SELECT revision, next_revision, actor_id, actor_name, request_id, changed_at INTO STRICT state FROM catalog_state WHERE id = 1;
    IF state.next_revision <> state.revision + 1 THEN
        state.actor_id := '00000000-0000-0000-0000-000000000000';
        state.actor_name := '';
        state.request_id := '';
        state.changed_at := greatest(state.changed_at, date_trunc('milliseconds', now()));
    END IF;
    -- A distributed database plans no statement that reads both a transition table and others.
    SELECT array_agg(m.catalog_app_id), array_agg(to_jsonb(m) ->> TG_ARGV[1]) INTO apps, elements FROM moved AS m;
    INSERT INTO catalog_changes
    SELECT state.revision + 1, 'catalog_app', part.app, TG_ARGV[0], '[' || coalesce(sets.old, '') || ']', '[' || coalesce(sets.new, '') || ']',
           state.actor_id, state.actor_name, state.request_id, state.changed_at
    FROM (
        SELECT m.app, array_agg(m.element) AS moved FROM unnest(apps, elements) AS m (app, element)
        WHERE EXISTS (SELECT 1 FROM catalog_apps WHERE id = m.app) GROUP BY m.app
    ) AS part, LATERAL (
        SELECT string_agg(to_json(r.element)::text, ',' ORDER BY r.element) FILTER (WHERE TG_OP = 'DELETE' OR NOT r.moved) AS old,
               string_agg(to_json(r.element)::text, ',' ORDER BY r.element) FILTER (WHERE TG_OP = 'INSERT' OR NOT r.moved) AS new
        FROM (
            SELECT element, bool_or(moved) AS moved FROM (
                SELECT category_id::text COLLATE "C", false FROM catalog_app_categories
                WHERE TG_ARGV[0] = 'category_ids' AND catalog_app_id = part.app
                UNION ALL SELECT pattern, false FROM catalog_url_patterns WHERE TG_ARGV[0] = 'url_patterns' AND catalog_app_id = part.app
                UNION ALL SELECT alias, false FROM catalog_desktop_aliases WHERE TG_ARGV[0] = 'desktop_aliases' AND catalog_app_id = part.app
                UNION ALL SELECT unnest(part.moved) COLLATE "C", true
            ) AS e (element, moved) GROUP BY element
        ) AS r
    ) AS sets
    ON CONFLICT (revision, entity, entity_id, field) DO UPDATE SET new_value = excluded.new_value,
        actor_id = excluded.actor_id, actor_name = excluded.actor_name, request_id = excluded.request_id, changed_at = excluded.changed_at;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER catalog_app_categories_history_insert AFTER INSERT ON catalog_app_categories REFERENCING NEW TABLE AS moved
    FOR EACH STATEMENT EXECUTE FUNCTION record_catalog_set_changes('category_ids', 'category_id');
CREATE TRIGGER catalog_app_categories_history_delete AFTER DELETE ON catalog_app_categories REFERENCING OLD TABLE AS moved
    FOR EACH STATEMENT EXECUTE FUNCTION record_catalog_set_changes('category_ids', 'category_id');
CREATE TRIGGER catalog_url_patterns_history_insert AFTER INSERT ON catalog_url_patterns REFERENCING NEW TABLE AS moved
    FOR EACH STATEMENT EXECUTE FUNCTION record_catalog_set_changes('url_patterns', 'pattern');
CREATE TRIGGER catalog_url_patterns_history_delete AFTER DELETE ON catalog_url_patterns REFERENCING OLD TABLE AS moved
    FOR EACH STATEMENT EXECUTE FUNCTION record_catalog_set_changes('url_patterns', 'pattern');
CREATE TRIGGER catalog_desktop_aliases_history_insert AFTER INSERT ON catalog_desktop_aliases REFERENCING NEW TABLE AS moved
    FOR EACH STATEMENT EXECUTE FUNCTION record_catalog_set_changes('desktop_aliases', 'alias');
CREATE TRIGGER catalog_desktop_aliases_history_delete AFTER DELETE ON catalog_desktop_aliases REFERENCING OLD TABLE AS moved
    FOR EACH STATEMENT EXECUTE FUNCTION record_catalog_set_changes('desktop_aliases', 'alias');

-- A transaction raises the revision at its end. A field that was changed back by then has no change.
-- +goose StatementBegin
CREATE FUNCTION end_catalog_changes() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    DELETE FROM catalog_changes WHERE revision > OLD.revision AND revision <= NEW.revision AND old_value = new_value;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER catalog_state_history AFTER UPDATE OF revision ON catalog_state
    FOR EACH ROW EXECUTE FUNCTION end_catalog_changes();

-- No temporary table may stand in for one of the schema's.
-- +goose StatementBegin
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['record_catalog_changes', 'record_catalog_set_changes', 'end_catalog_changes'] LOOP
        EXECUTE format('ALTER FUNCTION %I() SET search_path = %I, pg_temp', name, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %I() FROM PUBLIC', name);
    END LOOP;
END;
$$;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER catalog_state_history ON catalog_state;
DROP TRIGGER catalog_desktop_aliases_history_delete ON catalog_desktop_aliases;
DROP TRIGGER catalog_desktop_aliases_history_insert ON catalog_desktop_aliases;
DROP TRIGGER catalog_url_patterns_history_delete ON catalog_url_patterns;
DROP TRIGGER catalog_url_patterns_history_insert ON catalog_url_patterns;
DROP TRIGGER catalog_app_categories_history_delete ON catalog_app_categories;
DROP TRIGGER catalog_app_categories_history_insert ON catalog_app_categories;
DROP TRIGGER catalog_categories_history ON catalog_categories;
DROP TRIGGER catalog_vendors_history ON catalog_vendors;
DROP TRIGGER catalog_apps_history ON catalog_apps;
DROP FUNCTION record_catalog_changes(), record_catalog_set_changes(), end_catalog_changes();
DROP TABLE catalog_changes;
ALTER TABLE catalog_state DROP COLUMN next_revision, DROP COLUMN actor_id, DROP COLUMN actor_name, DROP COLUMN request_id,
    DROP COLUMN changed_at;
