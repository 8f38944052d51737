package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// A batch ends at this many rows or at this many bytes: one batch is all that an import has in memory.
const (
	batchRows  = 500
	batchBytes = 1 << 20
)

// stagedRow is a row of an import on its way: what the checks of the whole file go by, and all of it as JSON.
type stagedRow struct {
	Batch     int
	Line      int
	NameKey   string
	Name      string
	VendorKey *string
	VendorURL *string // "" clears it, nil leaves it as it is
	Body      string
}

// TableName implements gorm's Tabler.
func (stagedRow) TableName() string { return "import_rows" }

// staging is the rows of an import in a temporary table, which one connection alone can see.
type staging struct {
	conn    *gorm.DB
	pending []stagedRow
	bytes   int
	batches int
	rows    int
	refused ImportError

	lockTime time.Duration // how long the import may hold locks
	locked   time.Time     // since when it does
}

// checkTime fails when the import has held its locks for too long.
func (s *staging) checkTime() error {
	if time.Since(s.locked) > s.lockTime {
		return &ImportTimeError{Limit: s.lockTime}
	}
	return nil
}

func newStaging(conn *gorm.DB) (*staging, error) {
	s := &staging{conn: conn}
	s.drop() // what a canceled import may have left: SQLite can interrupt the statement behind the one that was canceled
	// Made from a permanent table, the keys compare as the permanent ones do, on either database.
	err := conn.Exec(`CREATE TEMPORARY TABLE import_rows AS
		SELECT CAST(0 AS bigint) AS batch, CAST(0 AS bigint) AS line, name_key, canonical_name AS name,
			name_key AS vendor_key, name_key AS vendor_url, description AS body
		FROM catalog_apps WHERE false`).Error
	return s, err
}

// drop is for the connection, which goes back to its pool, even when the import was canceled.
func (s *staging) drop() {
	conn := s.conn.WithContext(context.WithoutCancel(s.conn.Statement.Context))
	_ = conn.Exec("DROP TABLE IF EXISTS import_vendors").Error
	_ = conn.Exec("DROP TABLE IF EXISTS import_rows").Error
}

func (s *staging) add(row stagedRow, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	row.Batch, row.Body = s.batches, string(body)
	s.pending = append(s.pending, row)
	s.rows++
	if s.bytes += len(body); len(s.pending) < batchRows && s.bytes < batchBytes {
		return nil
	}
	return s.flush()
}

func (s *staging) flush() error {
	if len(s.pending) == 0 {
		return nil
	}
	if err := s.conn.Create(&s.pending).Error; err != nil {
		return err
	}
	s.pending, s.bytes = s.pending[:0], 0
	s.batches++
	return nil
}

// finish makes the table ready to be asked.
func (s *staging) finish() error {
	if err := s.flush(); err != nil {
		return err
	}
	for _, statement := range []string{
		"CREATE INDEX import_rows_batch ON import_rows (batch, line)",
		"CREATE TEMPORARY TABLE import_vendors AS SELECT vendor_key, max(vendor_url) AS vendor_url FROM import_rows " +
			"WHERE vendor_url IS NOT NULL GROUP BY vendor_key",
		"CREATE INDEX import_vendors_key ON import_vendors (vendor_key)",
		"ANALYZE import_rows",
		"ANALYZE import_vendors",
	} {
		if err := s.conn.Exec(statement).Error; err != nil {
			return err
		}
	}
	return nil
}

// rowProblem is a row that a check of the whole file refuses.
type rowProblem struct {
	Line  int
	Text  string
	Other int // the line that it contradicts
	Total int // findings of this check, not all of which are told
}

// check adds the rows that a query finds to the errors. The query has the columns line, text and other.
func (s *staging) check(tx *gorm.DB, query string, message func(rowProblem) string) error {
	var found []rowProblem
	err := tx.Raw(fmt.Sprintf("SELECT line, text, other, count(*) OVER () AS total FROM (%s) AS f ORDER BY line LIMIT %d",
		query, maxRowErrors)).Scan(&found).Error
	if err != nil || len(found) == 0 {
		return err
	}
	rows := make([]RowError, len(found))
	for i, f := range found {
		rows[i] = RowError{Line: f.Line, Message: message(f)}
	}
	s.refused.merge(rows, found[0].Total)
	return nil
}

// checkNames finds rows whose name an earlier row has, but for case.
func (s *staging) checkNames(tx *gorm.DB) error {
	const query = `SELECT line, name AS text, earlier AS other
		FROM (SELECT line, name, min(line) OVER (PARTITION BY name_key) AS earlier FROM import_rows) AS r
		WHERE line > earlier`
	return s.check(tx, query, func(f rowProblem) string {
		return fmt.Sprintf("canonical_name %q is on line %d already", f.Text, f.Other)
	})
}

// batch is the rows that are written together. What the database has for them is found by a join with the staged ones.
type batch[T any] struct {
	number int
	rows   []T
}

// column selects a column of the staged rows.
func (b batch[T]) column(tx *gorm.DB, name string) *gorm.DB {
	return tx.Model(&stagedRow{}).Where("batch = ?", b.number).Select(name)
}

// entries selects the ids of the catalog apps that the rows name.
func (b batch[T]) entries(tx *gorm.DB) *gorm.DB {
	return tx.Model(&CatalogApp{}).Where("name_key IN (?)", b.column(tx, "name_key")).Select("id")
}

// eachBatch reads the rows back, a batch at a time.
func eachBatch[T any](tx *gorm.DB, s *staging, progress func(done, total int), work func(tx *gorm.DB, b batch[T]) error) error {
	done := 0
	for number := range s.batches {
		var bodies []string
		if err := tx.Model(&stagedRow{}).Where("batch = ?", number).Order("line").Pluck("body", &bodies).Error; err != nil {
			return err
		}
		rows := make([]T, len(bodies))
		for i, body := range bodies {
			if err := json.Unmarshal([]byte(body), &rows[i]); err != nil {
				return err
			}
		}
		if err := work(tx, batch[T]{number: number, rows: rows}); err != nil {
			return err
		}
		if err := s.checkTime(); err != nil {
			return err
		}
		if done += len(rows); progress != nil {
			progress(done, s.rows)
		}
	}
	return nil
}
