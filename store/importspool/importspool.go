// Package importspool stores rows that can be read only once on disk, so that they can be checked as a whole and read again, in batches,
// in constant memory. They are in a private SQLite database: a temporary file, which Close removes.
package importspool

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// A batch ends at this many rows or at this many bytes.
const (
	BatchRows  = 500
	batchBytes = 1 << 20
)

// Row is a row of the source, with the keys by which it is compared with the other rows.
type Row[T any] struct {
	Line  int
	Text  string  // what Key was made from, as the source spells it
	Key   string  // rows with the same key are duplicates
	Group *string // rows of a group must agree in Value; nil for no group
	Value *string // nil agrees with every value
	Body  T
}

// Spool holds rows. It is for one caller at a time.
type Spool[T any] struct {
	db      *sql.DB
	pending []any // parameters of rows that are not on disk yet
	bytes   int
	batches int
	rows    int
}

const (
	columns = 7
	schema  = `PRAGMA journal_mode = off; PRAGMA synchronous = off;
		CREATE TABLE spool (line INTEGER, batch INTEGER, text TEXT, key TEXT, grp TEXT, value TEXT, body TEXT)`
	indexes = `CREATE INDEX spool_batch ON spool (batch, line); CREATE INDEX spool_key ON spool (key, line);
		CREATE INDEX spool_group ON spool (grp, line) WHERE value IS NOT NULL`
)

// New returns an empty spool, which its caller closes.
func New[T any](ctx context.Context) (*Spool[T], error) {
	db, err := sql.Open("sqlite", "") // a temporary file without a name
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // each connection has a file of its own
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Spool[T]{db: db}, nil
}

// Close removes the file.
func (s *Spool[T]) Close() error { return s.db.Close() }

// Rows returns how many rows were added.
func (s *Spool[T]) Rows() int { return s.rows }

// Add adds a row.
func (s *Spool[T]) Add(ctx context.Context, row Row[T]) error {
	body, err := json.Marshal(row.Body)
	if err != nil {
		return err
	}
	s.pending = append(s.pending, row.Line, s.batches, row.Text, row.Key, row.Group, row.Value, string(body))
	s.rows++
	if s.bytes += len(body); len(s.pending) < BatchRows*columns && s.bytes < batchBytes {
		return nil
	}
	return s.flush(ctx)
}

// flush ends a batch.
func (s *Spool[T]) flush(ctx context.Context) error {
	if len(s.pending) == 0 {
		return nil
	}
	values := strings.Repeat("(?, ?, ?, ?, ?, ?, ?), ", len(s.pending)/columns)
	_, err := s.db.ExecContext(ctx, "INSERT INTO spool VALUES "+strings.TrimSuffix(values, ", "), s.pending...) //nolint:gosec // question marks
	s.pending, s.bytes = s.pending[:0], 0
	s.batches++
	return err
}

// Finish writes the last rows and creates the indexes. Call it after the last Add, and before Each, Duplicates and Contradictions.
func (s *Spool[T]) Finish(ctx context.Context) error {
	if err := s.flush(ctx); err != nil {
		return err
	}
	_, err := s.db.ExecContext(ctx, indexes)
	return err
}

// SortByKey makes batches of rows that follow each other in the order of their keys, so that the key ranges of batches do not overlap.
// Call it before Finish.
func (s *Spool[T]) SortByKey(ctx context.Context) error {
	if err := s.flush(ctx); err != nil {
		return err
	}
	const assignBatches = `UPDATE spool SET batch = n / ? FROM (SELECT rowid AS at, row_number() OVER (ORDER BY key) - 1 AS n FROM spool)
		WHERE rowid = at`
	_, err := s.db.ExecContext(ctx, assignBatches, BatchRows)
	s.batches = (s.rows + BatchRows - 1) / BatchRows
	return err
}

// Batch is rows that are read together.
type Batch[T any] struct {
	Rows   []T
	Values map[string]string // by group of the rows: the value that rows of the group have, here or in another batch
}

// Each calls work with each batch, in the order of the lines unless SortByKey was called.
func (s *Spool[T]) Each(ctx context.Context, work func(Batch[T]) error) error {
	for number := range s.batches {
		batch, err := s.readBatch(ctx, number)
		if err == nil {
			err = work(batch)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Spool[T]) readBatch(ctx context.Context, number int) (batch Batch[T], err error) {
	err = s.scan(ctx, "SELECT body, '' FROM spool WHERE batch = ? ORDER BY line", number, func(body, _ string) error {
		var row T
		err := json.Unmarshal([]byte(body), &row)
		batch.Rows = append(batch.Rows, row)
		return err
	})
	if err != nil {
		return batch, err
	}
	batch.Values = map[string]string{}
	const values = `SELECT grp, max(value) FROM spool WHERE value IS NOT NULL
		AND grp IN (SELECT grp FROM spool WHERE batch = ?) GROUP BY grp`
	err = s.scan(ctx, values, number, func(group, value string) error {
		batch.Values[group] = value
		return nil
	})
	return batch, err
}

// scan calls handle with the two columns of each row of the query.
func (s *Spool[T]) scan(ctx context.Context, query string, number int, handle func(a, b string) error) error {
	rows, err := s.db.QueryContext(ctx, query, number)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var a, b string
		if err := rows.Scan(&a, &b); err != nil {
			return err
		}
		if err := handle(a, b); err != nil {
			return err
		}
	}
	return rows.Err()
}
