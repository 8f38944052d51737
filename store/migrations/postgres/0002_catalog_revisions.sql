-- +goose Up
SET LOCAL lock_timeout = '1s';

-- What the latest revisions of the catalog changed, so that servers read that and not the whole catalog. A revision without
-- a row may have changed anything. removed is a catalog app as it was last, in JSON: apps that were read before they were
-- removed still show it. The row of catalog_state is locked while rows are written here and old ones are deleted.
CREATE TABLE catalog_revisions (
    revision  bigint NOT NULL,
    entity    text COLLATE "C" NOT NULL,
    entity_id uuid NOT NULL,
    removed   text,
    PRIMARY KEY (revision, entity, entity_id)
);

-- +goose Down
DROP TABLE catalog_revisions;
