package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/clientapps/clientapps/store/casefold"
	"github.com/clientapps/clientapps/store/importspool"
	"github.com/clientapps/clientapps/store/postgres"
	"github.com/clientapps/clientapps/store/tenant"
)

// ImportOptions says how an import runs.
type ImportOptions struct {
	Progress func(done, total int) // called after each batch with the rows written so far; may be nil

	// LockTime is how long the import may hold locks, 0 for DefaultLockTime. Meanwhile others cannot write what it locks:
	// the apps of its client, or the catalog; on SQLite, anything. It takes locks when the source has been read.
	LockTime time.Duration
}

// DefaultLockTime is the default of ImportOptions.LockTime.
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
	Field   string // the column, or "" for the row as a whole
	Message string
}

func (e *RowError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Message) }

// maxRowErrors bounds how many errors of an import are listed; all of them are counted.
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

// addProblems adds rows that contradict an earlier one.
func (e *ImportError) addProblems(found []importspool.Problem, total int, field string, message func(importspool.Problem) string) {
	rows := make([]RowError, len(found))
	for i, p := range found {
		rows[i] = RowError{Line: p.Line, Field: field, Message: message(p)}
	}
	e.merge(rows, total)
}

// importable is a kind of row.
type importable[T any] interface{ spooled() importspool.Row[T] }

// importSteps is what one kind of import does in its transaction.
type importSteps[T any] struct {
	share shareKey
	byKey bool                                                                    // batches are ranges of keys
	lock  func(tx *gorm.DB) error                                                 // the first lock, which another import may hold
	begin func(tx *gorm.DB) error                                                 // takes the other locks
	check func(tx *gorm.DB, b importspool.Batch[T], rowErrors *ImportError) error // of what is in the database; may be nil
	write func(tx *gorm.DB, b importspool.Batch[T]) error
	end   func(tx *gorm.DB) error
}

// importRows runs an import. It puts the rows on disk before it takes locks and writes, so that others need not wait for the source, and
// neither memory nor the source has to hold the rows. All errors are found before anything is written.
//
// A RowError from rows is noted and reading goes on; any other error from there ends the import and is returned as it is.
func importRows[T importable[T]](ctx context.Context, s *Store, doing string, rows iter.Seq2[T, error], opts ImportOptions, steps importSteps[T]) error {
	if opts.LockTime <= 0 {
		opts.LockTime = DefaultLockTime
	}
	sp, err := importspool.New[T](ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	defer func() { _ = sp.Close() }()
	rowErrors := ImportError{}
	sourceErr, err := readSource(ctx, sp, rows, &rowErrors)
	if sourceErr == nil && err == nil {
		err = finishSource(ctx, sp, steps.byKey, &rowErrors)
	}
	switch {
	case sourceErr != nil || err != nil:
		return errors.Join(sourceErr, err)
	case rowErrors.Total > 0 && steps.check == nil:
		return &rowErrors // without a lock
	}
	err = s.retryIfRenamed(func() error {
		return s.inTxOf(ctx, steps.share, lockPathImport, nil, func(tx *gorm.DB) error {
			im := importAttempt[T]{s, tx, sp, opts, steps, time.Time{}}
			err := im.run(ctx, rowErrors)
			if postgres.StatementTimeout(err) && !im.locked.IsZero() {
				return &ImportTimeError{Limit: opts.LockTime}
			}
			return err
		})
	})
	if errors.Is(err, errUnchanged) {
		return nil
	}
	return s.translate(doing, err)
}

// readSource puts the rows on disk. It returns an error of the source apart from one of the disk.
func readSource[T importable[T]](ctx context.Context, sp *importspool.Spool[T], rows iter.Seq2[T, error], rowErrors *ImportError) (sourceErr, err error) {
	for row, err := range rows {
		if bad := (*RowError)(nil); errors.As(err, &bad) {
			rowErrors.add(*bad)
			continue
		}
		if err != nil {
			return err, nil
		}
		if err := sp.Add(ctx, row.spooled()); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// finishSource checks what concerns the rows alone.
func finishSource[T any](ctx context.Context, sp *importspool.Spool[T], byKey bool, rowErrors *ImportError) error {
	if byKey {
		if err := sp.SortByKey(ctx); err != nil {
			return err
		}
	}
	if err := sp.Finish(ctx); err != nil {
		return err
	}
	found, total, err := sp.Duplicates(ctx, maxRowErrors)
	if err != nil {
		return err
	}
	rowErrors.addProblems(found, total, string(ColumnCanonicalName), func(p importspool.Problem) string {
		return fmt.Sprintf("canonical_name %q is on line %d already", p.Text, p.Earlier)
	})
	found, total, err = sp.Contradictions(ctx, maxRowErrors)
	rowErrors.addProblems(found, total, "vendor_url", func(p importspool.Problem) string {
		return fmt.Sprintf("vendor_url is not the one that line %d gives the same vendor", p.Earlier)
	})
	return err
}

// importAttempt is one attempt to write the rows of an import, all or none.
type importAttempt[T any] struct {
	s      *Store
	tx     *gorm.DB
	spool  *importspool.Spool[T]
	opts   ImportOptions
	steps  importSteps[T]
	locked time.Time // since when it has held locks
}

func (im *importAttempt[T]) run(ctx context.Context, rowErrors ImportError) error {
	if err := im.lock(); err != nil {
		return err
	}
	if err := im.steps.begin(im.tx); err != nil {
		return err
	}
	if im.steps.check != nil {
		rowErrors.Rows = slices.Clone(rowErrors.Rows) // another attempt begins without what this one finds
		err := im.spool.Each(ctx, func(b importspool.Batch[T]) error { return im.steps.check(im.tx, b, &rowErrors) })
		if err != nil {
			return err
		}
		if rowErrors.Total > 0 {
			return &rowErrors
		}
	}
	done := 0
	err := im.spool.Each(ctx, func(b importspool.Batch[T]) error {
		if err := im.steps.write(im.tx, b); err != nil {
			return err
		}
		if time.Since(im.locked) > im.opts.LockTime {
			return &ImportTimeError{Limit: im.opts.LockTime}
		}
		if done += len(b.Rows); im.opts.Progress != nil {
			im.opts.Progress(done, im.spool.Rows())
		}
		return nil
	})
	if err != nil {
		return err
	}
	return im.steps.end(im.tx)
}

// importLockTimeoutFactor is how many times as long as other writes an import waits for its first lock, which another import may hold.
const importLockTimeoutFactor = 10

// lock takes the first lock. No other write can wait for this import before that. From then on the import's time runs.
func (im *importAttempt[T]) lock() error {
	if err := setLockTimeout(im.tx, importLockTimeoutFactor*im.s.lockTimeout); err != nil {
		return err
	}
	if err := im.steps.lock(im.tx); err != nil {
		return err
	}
	im.locked = time.Now()
	if err := setLockTimeout(im.tx, im.s.lockTimeout); err != nil || im.tx.Name() != postgres.Name {
		return err
	}
	// For one statement that waits for many rows, one after the other.
	limit := strconv.FormatInt(max(1, im.opts.LockTime.Milliseconds()), 10)
	return im.tx.Exec("SELECT set_config('statement_timeout', ?, true)", limit).Error
}

// AppRow is an app of a client as an import gives it: by the name of its catalog app. What a row does not give stays as
// it is, or as it is in a new app.
type AppRow struct {
	Line   int
	Name   string
	Fields Fields // as for UpdateApp
}

func (r AppRow) spooled() importspool.Row[AppRow] {
	return importspool.Row[AppRow]{Line: r.Line, Text: r.Name, Key: casefold.Name(r.Name), Body: r}
}

// ImportApps gives a client the apps that the rows say, all of them or none, and keeps those that it has beside them. What
// is as it should be is not written: the same rows again change nothing. ImportError says which rows are wrong,
// NotFoundError that there is no such client, ImportTimeError that it took longer than others may have to wait.
func (s *Store) ImportApps(ctx context.Context, clientID uuid.UUID, rows iter.Seq2[AppRow, error], by Actor, opts ImportOptions) (ImportResult, error) {
	if err := s.checkActive(ctx, clientID); err != nil {
		return ImportResult{}, err
	}
	m := appImport{clientID: clientID, by: by}
	err := importRows(ctx, s, "import apps", rows, opts, importSteps[AppRow]{
		share: clientShare(clientID),
		byKey: true,
		lock:  func(tx *gorm.DB) error { return lockClient(tx, clientID, "UPDATE") },
		begin: func(tx *gorm.DB) error {
			err := m.lock(s, tx)
			m.now, m.result = s.now(), ImportResult{}
			return err
		},
		check: checkKnown,
		write: m.merge,
		end: func(tx *gorm.DB) error {
			if m.result.Created == 0 || !s.db.Distributed() {
				return nil // on one machine, names stay while the catalog is locked
			}
			return checkNotRenamed(tx.Where("created_at = ?", m.now), clientID)
		},
	})
	if err != nil {
		return ImportResult{}, err
	}
	return m.result, nil
}

// checkKnown finds rows whose name no catalog app has.
func checkKnown(tx *gorm.DB, b importspool.Batch[AppRow], rowErrors *ImportError) error {
	known, err := entriesByName(tx, b.Rows)
	var unknown []RowError
	for _, r := range b.Rows {
		if _, ok := known[casefold.Name(r.Name)]; !ok {
			unknown = append(unknown, RowError{
				Line: r.Line, Field: string(ColumnCanonicalName), Message: fmt.Sprintf("canonical_name %q is not in the catalog", r.Name),
			})
		}
	}
	rowErrors.merge(unknown, len(unknown))
	return err
}

// entriesByName returns the ids of the catalog apps that the rows name, by folded name.
func entriesByName(tx *gorm.DB, rows []AppRow) (map[string]uuid.UUID, error) {
	keys := make([]string, len(rows))
	for i, r := range rows {
		keys[i] = casefold.Name(r.Name)
	}
	var found []CatalogApp
	err := whereIn(tx.Select("id, name_key"), "name_key", keys).Find(&found).Error
	ids := make(map[string]uuid.UUID, len(found))
	for _, e := range found {
		ids[e.NameKey] = e.ID
	}
	return ids, err
}

// appImport writes the rows of one import.
type appImport struct {
	clientID uuid.UUID
	by       Actor
	now      time.Time // when the rows were locked
	result   ImportResult
}

// lock keeps the catalog and the client's apps as they are, but for this import, which holds the client already. Apps are locked
// in the order of their ids, as in UpdateApps.
func (m *appImport) lock(s *Store, tx *gorm.DB) error {
	if err := s.lockCatalogShared(tx, catalogLock, m.clientID); err != nil {
		return err
	}
	var held int64
	apps := tenant.Of(tx, m.clientID).Model(&App{}).Clauses(clause.Locking{Strength: "UPDATE"}).Order("id").Select("id")
	return tx.Table("(?) AS held", apps).Count(&held).Error
}

func (m *appImport) merge(tx *gorm.DB, b importspool.Batch[AppRow]) error {
	entry, err := entriesByName(tx, b.Rows)
	if err == nil && len(entry) == 0 {
		err = errRenamed
	}
	if err != nil {
		return err
	}
	var apps []App
	// The range makes either database use the index by name: it would read all of the client's apps for each batch where it knows
	// no better.
	keys := slices.Sorted(maps.Keys(entry))
	inRange := tenant.Of(tx, m.clientID).Where("name_key BETWEEN ? AND ?", keys[0], keys[len(keys)-1])
	if err := whereIn(inRange, "catalog_app_id", slices.Collect(maps.Values(entry))).Find(&apps).Error; err != nil {
		return err
	}
	have := make(map[uuid.UUID]App, len(apps))
	for _, app := range apps {
		have[app.CatalogAppID] = app
	}
	var write []App
	for _, r := range b.Rows {
		fields, err := typedAppFields(r.Fields) // they were JSON in the spool
		if err != nil {
			return err
		}
		key := casefold.Name(r.Name)
		if _, ok := entry[key]; !ok {
			return errRenamed // since checkKnown: this machine of a distributed database had yet to learn of a change
		}
		app, known := have[entry[key]]
		switch {
		case !known:
			app = App{ClientID: m.clientID, ID: newID(), CatalogAppID: entry[key], NameKey: key, CreatedAt: m.now}
			m.result.Created++
		case fields.alreadyIn(app.fields()):
			m.result.Unchanged++
			continue
		default:
			m.result.Updated++
		}
		app.set(fields)
		app.Version++
		app.ActorID, app.ActorName, app.RequestID, app.UpdatedAt = m.by.ID, m.by.Name, m.by.RequestID, maxTime(m.now, app.UpdatedAt)
		write = append(write, app)
	}
	if len(write) == 0 {
		return nil
	}
	set := clause.AssignmentColumns(append(appFieldNames(), "version", "actor_id", "actor_name", "request_id", "updated_at"))
	if tx.Name() == postgres.Name { // see withFeedPosition
		position := gorm.Expr("greatest(apps.position, excluded.position)")
		set = append(set, clause.Assignment{Column: clause.Column{Name: "position"}, Value: position})
	}
	// One statement for both: the triggers make a history of insertions and another of updates.
	err = tenant.Of(tx, m.clientID).Clauses(clause.OnConflict{
		Columns: []clause.Column{{Name: "client_id"}, {Name: "id"}}, DoUpdates: set,
	}).Create(&write).Error
	if foreignKeyViolation(err) {
		return errRenamed // likewise
	}
	return err
}
