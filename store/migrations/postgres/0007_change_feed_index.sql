-- +goose NO TRANSACTION
-- +goose Up

-- The order of the change feed. Writes go on while it is built; an attempt that was broken off has left an invalid index.
DROP INDEX IF EXISTS app_changes_feed;
CREATE INDEX CONCURRENTLY app_changes_feed ON app_changes (position, changed_at, client_id, app_id, version, field);

-- +goose Down
DROP INDEX app_changes_feed;
