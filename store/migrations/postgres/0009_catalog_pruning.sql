-- +goose Up
SET LOCAL lock_timeout = '1s';

-- Changes of the catalog before this revision are no longer kept.
ALTER TABLE change_feed ADD COLUMN pruned_revision bigint NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE change_feed DROP COLUMN pruned_revision;
