-- +goose Up
SELECT 1; -- SQLite has one writer: nothing to lock

-- +goose Down
SELECT 1;
