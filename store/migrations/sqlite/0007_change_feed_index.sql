-- +goose Up

-- PostgreSQL needs an index for the order of the change feed. Here that is the order of the table itself.
SELECT 1;

-- +goose Down
SELECT 1;
