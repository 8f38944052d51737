package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"gorm.io/gorm"
)

// ImportOptions says how an import runs.
type ImportOptions struct {
	DryRun   bool                  // do all of it, count, and leave nothing written
	Progress func(done, total int) // told how many rows are written, while they are; nil for nobody

	// LockTime is how long the import may hold locks, 0 for DefaultLockTime. Meanwhile others cannot write what it locks:
	// the apps of its client, or the catalog; on SQLite, anything. It takes locks when the source has been read.
	LockTime time.Duration
}

// DefaultLockTime is how long an import may hold locks unless it is told otherwise.
const DefaultLockTime = time.Minute

// ImportTimeError says that an import held its locks for longer than it may. Nothing was written.
type ImportTimeError struct{ Limit time.Duration }

func (e *ImportTimeError) Error() string {
	return fmt.Sprintf("the import would keep others from writing for more than %v: nothing was written", e.Limit)
}

// ImportResult counts what an import did, or would do.
type ImportResult struct {
	Created, Updated, Unchanged int // rows

	VendorsCreated, VendorsUpdated, CategoriesCreated int
}

// Rows is how many rows the import had.
func (r ImportResult) Rows() int { return r.Created + r.Updated + r.Unchanged }

// RowError says what is wrong with one row of an import.
type RowError struct {
	Line    int
	Message string
}

func (e *RowError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Message) }

// maxRowErrors bounds how many errors of an import are told; all of them are counted.
const maxRowErrors = 100

// ImportError says that rows of an import are wrong. Nothing was written.
type ImportError struct {
	Rows  []RowError // the first hundred, by line
	Total int
}

func (e *ImportError) Error() string { return fmt.Sprintf("%d errors", e.Total) }

func (e *ImportError) add(row RowError) {
	e.Total++
	if len(e.Rows) < maxRowErrors {
		e.Rows = append(e.Rows, row)
	}
}

// merge puts errors that were found later in their places.
func (e *ImportError) merge(rows []RowError, total int) {
	e.Rows = append(e.Rows, rows...)
	slices.SortStableFunc(e.Rows, func(a, b RowError) int { return cmp.Compare(a.Line, b.Line) })
	e.Rows = e.Rows[:min(len(e.Rows), maxRowErrors)]
	e.Total += total
}

// errDryRun rolls a dry run back.
var errDryRun = errors.New("dry run")

// importable is a kind of row.
type importable interface{ staged() stagedRow }

// importSteps is what one kind of import does in its transaction.
type importSteps[T importable] struct {
	share   shareKey
	prepare func(tx *gorm.DB, staged *staging) error // takes locks and looks for errors; there is nothing to write then
	write   func(tx *gorm.DB, b batch[T]) error
	finish  func(tx *gorm.DB) error
}

// importRows is what all imports do. It stages the rows, so that neither memory nor the source has to hold them, before it
// takes locks and writes: others need not wait for the source.
//
// A RowError from rows is noted and reading goes on; any other error from there ends the import and is returned as it is.
func importRows[T importable](ctx context.Context, s *Store, doing string, rows iter.Seq2[T, error], opts ImportOptions, steps importSteps[T]) error {
	release, err := s.shares.acquire(ctx, steps.share)
	if err != nil {
		return s.translate(doing, err)
	}
	defer release()
	var source error
	err = s.write.WithContext(ctx).Connection(func(conn *gorm.DB) error {
		alone := conn.Session(&gorm.Session{NewDB: true, Context: ctx, SkipDefaultTransaction: true})
		return s.db.keepTemporary(alone, func(conn *gorm.DB) error {
			staged, err := newStaging(conn)
			if err != nil {
				return err
			}
			defer staged.drop()
			if staged.lockTime = opts.LockTime; staged.lockTime <= 0 {
				staged.lockTime = DefaultLockTime
			}
			if source, err = stageAll(staged, rows); source != nil || err != nil {
				return err
			}
			err = conn.Transaction(func(tx *gorm.DB) error { return writeStaged(tx, s, staged, opts, steps) })
			if timedOut(err) && !staged.locked.IsZero() {
				return &ImportTimeError{Limit: staged.lockTime}
			}
			return err
		})
	})
	s.counts.lockTimeouts.note(lockPathImport, err)
	switch {
	case source != nil:
		return source
	case errors.Is(err, errDryRun):
		return nil
	}
	return s.translate(doing, err)
}

// writeStaged writes the staged rows, all or none.
func writeStaged[T importable](tx *gorm.DB, s *Store, staged *staging, opts ImportOptions, steps importSteps[T]) error {
	if err := s.db.useIndexes(tx); err != nil {
		return err
	}
	if err := staged.checkNames(tx); err != nil { // before there are locks
		return err
	}
	if err := steps.prepare(tx, staged); err != nil {
		return err
	}
	if staged.refused.Total > 0 {
		return &staged.refused
	}
	if err := eachBatch(tx, staged, opts.Progress, steps.write); err != nil {
		return err
	}
	if err := steps.finish(tx); err != nil {
		return err
	}
	if opts.DryRun {
		return errDryRun
	}
	return nil
}

// stageAll tells an error of the source from one of the database.
func stageAll[T importable](staged *staging, rows iter.Seq2[T, error]) (source, err error) {
	for row, err := range rows {
		if refused := (*RowError)(nil); errors.As(err, &refused) {
			staged.refused.add(*refused)
			continue
		}
		if err != nil {
			return err, nil
		}
		if err := staged.add(row.staged(), row); err != nil {
			return nil, err
		}
	}
	return nil, staged.finish()
}
