-- +goose Up

-- One row. All changes before this position are marked: each webhook that follows one of them has a due_at.
CREATE TABLE webhook_state (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    position INTEGER NOT NULL
);
INSERT INTO webhook_state VALUES (1, 0);

-- A webhook is a position in the change feed with an address. client_id is null for all clients. key is a key of the feed as text: what is
-- before it is delivered; position is its first part. A batch is fixed before its first attempt; batch_key is the key behind it. due_at is
-- null while there is nothing to deliver before the position of webhook_state: such a webhook costs nothing. lost says that changes were
-- pruned before they were delivered.
CREATE TABLE webhooks (
    id              TEXT PRIMARY KEY,
    client_id       TEXT,
    url             TEXT NOT NULL,
    description     TEXT,
    fields          TEXT NOT NULL,
    status          TEXT NOT NULL CHECK (status IN ('active', 'failing', 'disabled')),
    last_error      TEXT,
    lost            TEXT,
    secret          BLOB NOT NULL,
    previous_secret BLOB,
    previous_until  TIMESTAMP,
    created_by      TEXT,
    created_at      TIMESTAMP NOT NULL,
    updated_at      TIMESTAMP NOT NULL,
    version         INTEGER NOT NULL,
    position        INTEGER NOT NULL,
    key             TEXT NOT NULL,
    batch_id        TEXT,
    batch           BLOB,
    batch_key       TEXT,
    failures        INTEGER NOT NULL,
    failing_since   TIMESTAMP,
    due_at          TIMESTAMP CHECK (due_at IS NULL OR status <> 'disabled'),
    marked          INTEGER NOT NULL,
    behind_since    TIMESTAMP,
    lease_owner     TEXT,
    lease_until     TIMESTAMP,
    tested_at       TIMESTAMP
);
CREATE INDEX webhooks_due ON webhooks (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX webhooks_client ON webhooks (client_id);
CREATE INDEX webhooks_by_creator ON webhooks (created_by) WHERE created_by IS NOT NULL;
CREATE INDEX webhooks_by_creation ON webhooks (created_at, id);

-- Attempts of the last three days. delivery_id is that of the batch, or a ping's own.
CREATE TABLE webhook_deliveries (
    id           TEXT NOT NULL,
    webhook_id   TEXT NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    delivery_id  TEXT NOT NULL,
    type         TEXT NOT NULL,
    attempted_at TIMESTAMP NOT NULL,
    duration_ms  INTEGER NOT NULL,
    status       INTEGER,
    error        TEXT,
    PRIMARY KEY (webhook_id, id)
) WITHOUT ROWID;
CREATE INDEX webhook_deliveries_by_time ON webhook_deliveries (webhook_id, attempted_at, id);
CREATE INDEX webhook_deliveries_old ON webhook_deliveries (attempted_at);

-- +goose Down
DROP TABLE webhook_deliveries;
DROP TABLE webhooks;
DROP TABLE webhook_state;
