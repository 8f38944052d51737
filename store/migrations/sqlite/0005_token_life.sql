-- +goose Up

-- created_by is the token that made this one; tokens of the command have none. previous_hash is that of the secret before the
-- last rotation, which is good until previous_until. last_used_at is to the minute, and written some seconds later.
ALTER TABLE tokens ADD COLUMN created_by TEXT;
ALTER TABLE tokens ADD COLUMN previous_hash BLOB;
ALTER TABLE tokens ADD COLUMN previous_until TIMESTAMP;
ALTER TABLE tokens ADD COLUMN last_used_at TIMESTAMP;
CREATE UNIQUE INDEX tokens_by_previous_hash ON tokens (previous_hash) WHERE previous_hash IS NOT NULL;
CREATE INDEX tokens_by_creator ON tokens (created_by) WHERE created_by IS NOT NULL;
CREATE INDEX tokens_by_creation ON tokens (created_at, id);

-- +goose Down
DROP INDEX tokens_by_creation;
DROP INDEX tokens_by_creator;
DROP INDEX tokens_by_previous_hash;
ALTER TABLE tokens DROP COLUMN created_by;
ALTER TABLE tokens DROP COLUMN previous_hash;
ALTER TABLE tokens DROP COLUMN previous_until;
ALTER TABLE tokens DROP COLUMN last_used_at;
