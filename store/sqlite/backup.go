package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
)

// Backup copies a snapshot of a database to a file that must not exist yet, while others read and write. Without an error, the copy is
// complete and on the disk. With an error, there is no file.
func Backup(ctx context.Context, path, file string) (err error) {
	if _, err := os.Lstat(file); !errors.Is(err, os.ErrNotExist) {
		return errors.Join(err, fmt.Errorf("%s exists", file))
	}
	partial := file + ".partial"
	// Created here with its mode, since it contains hashes of tokens.
	f, err := os.OpenFile(partial, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600) //nolint:gosec // where the operator says
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(partial)) }()
	if err := vacuumInto(ctx, path, partial); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Link(partial, file); err != nil { // unlike a rename, it does not replace a file that was created since
		return err
	}
	return syncDir(filepath.Dir(file))
}

// vacuumInto reads in one transaction, which holds up no writer. It has a connection of its own: those of the pools are for
// short work.
func vacuumInto(ctx context.Context, path, file string) error {
	if _, err := os.Stat(path); err != nil {
		return err // SQLite would make an empty database
	}
	db, err := sql.Open("sqlite", dsn(path, url.Values{"mode": {"rw"}}))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	var version int
	if err := db.QueryRowContext(ctx, "SELECT max(version_id) FROM goose_db_version").Scan(&version); err != nil {
		return fmt.Errorf("not a database of clientapps: %w", err)
	}
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", file); err != nil {
		return err
	}
	return expireCursors(ctx, file)
}

// expireCursors makes the change feed of a copy begin anew: cursors of the original may point to changes that the copy does not have.
func expireCursors(ctx context.Context, file string) error {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: file}).EscapedPath()+"?mode=rw") // no WAL: the copy is one file
	if err != nil {
		return err
	}
	var hasFeed bool // a database of an older schema has no feed
	err = db.QueryRowContext(ctx, "SELECT count(*) > 0 FROM sqlite_schema WHERE name = 'change_feed'").Scan(&hasFeed)
	if err == nil && hasFeed {
		_, err = db.ExecContext(ctx, "UPDATE change_feed SET nonce = NULL")
	}
	return errors.Join(err, db.Close())
}

func syncDir(name string) error {
	dir, err := os.Open(name) //nolint:gosec // where the operator says
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
