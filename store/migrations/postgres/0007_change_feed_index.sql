-- +goose NO TRANSACTION
-- +goose Up

-- The order of the change feed, but for the field. Writes go on while it is built; an attempt that was broken off has left an invalid
-- index.
DROP INDEX IF EXISTS app_changes_feed;
CREATE INDEX CONCURRENTLY app_changes_feed ON app_changes (position, client_id, app_id, version);

-- +goose Down
DROP INDEX app_changes_feed;
