-- +goose Up

-- What the latest revisions of the catalog changed, so that servers read that and not the whole catalog. A revision without
-- a row may have changed anything. removed is a catalog app as it was last, in JSON: apps that were read before they were
-- removed still show it.
CREATE TABLE catalog_revisions (
    revision  INTEGER NOT NULL,
    entity    TEXT NOT NULL,
    entity_id TEXT NOT NULL,
    removed   TEXT,
    PRIMARY KEY (revision, entity, entity_id)
) WITHOUT ROWID;

-- +goose Down
DROP TABLE catalog_revisions;
