-- +goose Up
SET LOCAL lock_timeout = '1s';

-- created_by is the token that made this one; tokens of the command have none. previous_hash is that of the secret before the
-- last rotation, which is good until previous_until. last_used_at is to the minute, and written some seconds later.
ALTER TABLE tokens
    ADD COLUMN created_by     uuid,
    ADD COLUMN previous_hash  bytea,
    ADD COLUMN previous_until timestamptz(3),
    ADD COLUMN last_used_at   timestamptz(3);
CREATE UNIQUE INDEX tokens_by_previous_hash ON tokens (previous_hash) WHERE previous_hash IS NOT NULL;
CREATE INDEX tokens_by_creator ON tokens (created_by) WHERE created_by IS NOT NULL;
CREATE INDEX tokens_by_creation ON tokens (created_at, id);

-- +goose Down
ALTER TABLE tokens DROP COLUMN created_by, DROP COLUMN previous_hash, DROP COLUMN previous_until, DROP COLUMN last_used_at;
DROP INDEX tokens_by_creation;
