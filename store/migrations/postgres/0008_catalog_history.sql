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

-- What is a set of rows is one field of its catalog app. Before the first of the rows is written, this puts the whole set as it is
-- into the history, as the old value and for now as the new one. The sets of an app that is removed with its rows leave no history.
-- +goose StatementBegin
CREATE FUNCTION begin_catalog_set_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    state   record;
    app     uuid := CASE TG_OP WHEN 'DELETE' THEN OLD.catalog_app_id ELSE NEW.catalog_app_id END;
    present text;
BEGIN
    SELECT revision, next_revision, actor_id, actor_name, request_id, changed_at INTO STRICT state FROM catalog_state WHERE id = 1;
    IF EXISTS (SELECT 1 FROM catalog_apps WHERE id = app) AND NOT EXISTS (
        SELECT 1 FROM catalog_changes
        WHERE revision = state.revision + 1 AND entity = 'catalog_app' AND entity_id = app AND field = TG_ARGV[0]
    ) THEN
        IF state.next_revision <> state.revision + 1 THEN
            state.actor_id := '00000000-0000-0000-0000-000000000000';
            state.actor_name := '';
            state.request_id := '';
            state.changed_at := greatest(state.changed_at, date_trunc('milliseconds', now()));
        END IF;
        present := '[' || coalesce(CASE TG_ARGV[0]
            WHEN 'category_ids' THEN (SELECT string_agg(to_json(category_id)::text, ',' ORDER BY category_id)
                FROM catalog_app_categories WHERE catalog_app_id = app)
            WHEN 'url_patterns' THEN (SELECT string_agg(to_json(pattern)::text, ',' ORDER BY pattern)
                FROM catalog_url_patterns WHERE catalog_app_id = app)
            WHEN 'desktop_aliases' THEN (SELECT string_agg(to_json(alias)::text, ',' ORDER BY alias)
                FROM catalog_desktop_aliases WHERE catalog_app_id = app)
        END, '') || ']';
        INSERT INTO catalog_changes VALUES (state.revision + 1, 'catalog_app', app, TG_ARGV[0], present, present,
            state.actor_id, state.actor_name, state.request_id, state.changed_at);
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER catalog_app_categories_history BEFORE INSERT OR DELETE ON catalog_app_categories
    FOR EACH ROW EXECUTE FUNCTION begin_catalog_set_change('category_ids');
CREATE TRIGGER catalog_url_patterns_history BEFORE INSERT OR DELETE ON catalog_url_patterns
    FOR EACH ROW EXECUTE FUNCTION begin_catalog_set_change('url_patterns');
CREATE TRIGGER catalog_desktop_aliases_history BEFORE INSERT OR DELETE ON catalog_desktop_aliases
    FOR EACH ROW EXECUTE FUNCTION begin_catalog_set_change('desktop_aliases');

-- When a transaction raises the revision, all its rows are written: the sets get their new values. A set that is as it was, and a
-- field that was changed back, have no change.
-- +goose StatementBegin
CREATE FUNCTION end_catalog_set_changes() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    UPDATE catalog_changes SET new_value = '[' || coalesce(CASE field
        WHEN 'category_ids' THEN (SELECT string_agg(to_json(category_id)::text, ',' ORDER BY category_id)
            FROM catalog_app_categories WHERE catalog_app_id = entity_id)
        WHEN 'url_patterns' THEN (SELECT string_agg(to_json(pattern)::text, ',' ORDER BY pattern)
            FROM catalog_url_patterns WHERE catalog_app_id = entity_id)
        WHEN 'desktop_aliases' THEN (SELECT string_agg(to_json(alias)::text, ',' ORDER BY alias)
            FROM catalog_desktop_aliases WHERE catalog_app_id = entity_id)
    END, '') || ']'
    WHERE revision > OLD.revision AND revision <= NEW.revision AND field IN ('category_ids', 'url_patterns', 'desktop_aliases');
    DELETE FROM catalog_changes WHERE revision > OLD.revision AND revision <= NEW.revision AND old_value = new_value;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER catalog_state_history AFTER UPDATE OF revision ON catalog_state
    FOR EACH ROW EXECUTE FUNCTION end_catalog_set_changes();

-- No temporary table may stand in for one of the schema's.
-- +goose StatementBegin
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['record_catalog_changes', 'begin_catalog_set_change', 'end_catalog_set_changes'] LOOP
        EXECUTE format('ALTER FUNCTION %I() SET search_path = %I, pg_temp', name, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %I() FROM PUBLIC', name);
    END LOOP;
END;
$$;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER catalog_state_history ON catalog_state;
DROP TRIGGER catalog_desktop_aliases_history ON catalog_desktop_aliases;
DROP TRIGGER catalog_url_patterns_history ON catalog_url_patterns;
DROP TRIGGER catalog_app_categories_history ON catalog_app_categories;
DROP TRIGGER catalog_categories_history ON catalog_categories;
DROP TRIGGER catalog_vendors_history ON catalog_vendors;
DROP TRIGGER catalog_apps_history ON catalog_apps;
DROP FUNCTION record_catalog_changes(), begin_catalog_set_change(), end_catalog_set_changes();
DROP TABLE catalog_changes;
ALTER TABLE catalog_state DROP COLUMN next_revision, DROP COLUMN actor_id, DROP COLUMN actor_name, DROP COLUMN request_id,
    DROP COLUMN changed_at;
