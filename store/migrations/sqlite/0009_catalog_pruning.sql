-- +goose Up

-- Changes of the catalog before this revision are no longer kept.
ALTER TABLE change_feed ADD COLUMN pruned_revision INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE change_feed DROP COLUMN pruned_revision;
