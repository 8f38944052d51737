-- +goose Up
SET LOCAL lock_timeout = '1s';

-- Whoever changes the catalog updates this row twice, first and last: see lockCatalog and bumpCatalog. Others share the locks that the
-- updates take here. On a database distributed by client the row is on every machine, and so are the locks.
-- +goose StatementBegin
CREATE FUNCTION lock_catalog() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.revision = OLD.revision THEN
        PERFORM pg_advisory_xact_lock(1667329121, 2);
    ELSE
        PERFORM pg_advisory_xact_lock(1667329121, 1);
    END IF;
    RETURN NEW;
END;
$$;
-- +goose StatementEnd
CREATE TRIGGER catalog_state_lock BEFORE UPDATE ON catalog_state FOR EACH ROW EXECUTE FUNCTION lock_catalog();

-- +goose Down
DROP TRIGGER catalog_state_lock ON catalog_state;
DROP FUNCTION lock_catalog();
