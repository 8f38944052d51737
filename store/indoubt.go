package store

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/clientapps/clientapps/store/postgres"
	"github.com/clientapps/clientapps/store/retry"
	"github.com/clientapps/clientapps/store/sqlite"
	"github.com/clientapps/clientapps/store/tenant"
)

// statementRetry repeats a statement or a transaction that failed without writing. The first attempts follow each other quickly, since
// several idle connections can be broken at once, or keep plans from before a table was altered.
var statementRetry = retry.Policy{Attempts: 10, Pause: time.Millisecond, MaxPause: 50 * time.Millisecond}

// lockTimeoutRetry repeats a read that a lock timeout has ended, until its context ends.
var lockTimeoutRetry = retry.Policy{Pause: time.Millisecond}

// probeRetry repeats a commitProbe until the database answers or the time for that is over.
var probeRetry = retry.Policy{Pause: 50 * time.Millisecond}

// InDoubtError says that the connection broke during a write, and that the database did not say in time whether the write
// was committed. Its caller must not report success, nor that nothing was written.
type InDoubtError struct{ cause error }

func (e *InDoubtError) Error() string {
	return fmt.Sprintf("whether it was written is not known: %v", e.cause)
}

// errCannotTell is what a commitProbe returns when later writes hide whether its own was committed.
var errCannotTell = errors.New("others have written since")

// inDoubtError is the failure of a write that may have been committed, with the fence of its connection.
type inDoubtError struct {
	fence func(ctx context.Context) error // returns when the connection can no longer write
	cause error
}

func (e *inDoubtError) Error() string { return e.cause.Error() }

func (e *inDoubtError) Unwrap() error { return e.cause }

// mayHaveCommitted reports whether a statement may have succeeded although it returned this error: the connection broke, or the
// time was up, after the statement was sent. It is false for statements that were never sent, and for those that were refused. See
// postgres.MayHaveCommitted for errors that are not refusals.
func mayHaveCommitted(err error) bool {
	switch {
	case err == nil:
		return false
	case postgres.IsError(err):
		return postgres.MayHaveCommitted(err)
	case sqlite.IsError(err):
		return sqlite.Interrupted(err)
	case errors.Is(err, driver.ErrBadConn) || postgres.NotSent(err):
		return false
	}
	return errors.Is(err, context.Canceled) || unavailable(err)
}

// retry runs do until it succeeds, fails permanently, or the attempts are used up. do must have no effect when it fails.
func (s *Store) retry(ctx context.Context, do func() error) error {
	return statementRetry.Do(ctx, func() (retryable bool, err error) {
		err = do()
		return s.retryable(ctx, err), err
	})
}

// retryRead is retry for what only reads. On a distributed database the lock_timeout of patches ends its wait for a table that a migration
// alters: it waits again until ctx ends.
func (s *Store) retryRead(ctx context.Context, do func() error) error {
	err := lockTimeoutRetry.Do(ctx, func() (retryable bool, err error) {
		err = s.retry(ctx, do)
		return s.db.Distributed() && postgres.LockTimeout(err), err
	})
	if ctx.Err() != nil && postgres.LockTimeout(err) {
		return ctx.Err()
	}
	return err
}

// retryable reports whether another attempt may succeed. It closes the idle connections, which are likely broken too, so that
// the next attempt gets a new one.
func (s *Store) retryable(ctx context.Context, err error) bool {
	if err == nil || ctx.Err() != nil || postgres.StatementTimeout(err) {
		return false
	}
	if !mayHaveCommitted(err) && !postgres.Transient(err) {
		return false
	}
	s.db.DropIdle()
	return true
}

// commitProbe reports whether a write was committed. It looks for something that only this write can have left.
type commitProbe func(db *gorm.DB) (bool, error)

// resolveInDoubt finds out whether a write was committed whose connection broke. It asks until the database answers, for at most
// the store's timeout. It returns InDoubtError when that is over or the probe cannot tell, and UnavailableError when nothing was
// written and the caller has no time left, or the statement was canceled. When nothing was written and there is time to try again, it
// returns false and nil.
func (s *Store) resolveInDoubt(ctx context.Context, inDoubt *inDoubtError, probe commitProbe) (written bool, err error) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return false, inDoubt.cause // the caller has gone
	}
	s.db.DropIdle()
	if probe == nil {
		return false, &InDoubtError{cause: inDoubt.cause}
	}
	bounded, cancel := s.bounded(context.WithoutCancel(ctx))
	defer cancel()
	err = probeRetry.Do(bounded, func() (retryable bool, err error) {
		if err = inDoubt.fence(bounded); err == nil {
			written, err = probe(s.writer.WithContext(bounded))
		}
		return unavailable(err) || mayHaveCommitted(err), err
	})
	switch {
	case err != nil:
		return false, &InDoubtError{cause: errors.Join(inDoubt.cause, err)}
	case !written && (ctx.Err() != nil || postgres.StatementTimeout(inDoubt.cause)):
		return false, &UnavailableError{cause: inDoubt.cause}
	}
	return written, nil
}

// finishAfterCommit runs what the answer to a committed write still needs, also after the caller's deadline. While the database
// is away it tries again, for at most the store's timeout, and then returns InDoubtError: the write must not look like a failure.
func (s *Store) finishAfterCommit(ctx context.Context, do func(ctx context.Context) error) error {
	err := do(ctx)
	if !unavailable(err) || errors.Is(ctx.Err(), context.Canceled) {
		return err
	}
	bounded, cancel := s.bounded(context.WithoutCancel(ctx))
	defer cancel()
	err = probeRetry.Do(bounded, func() (retryable bool, err error) {
		err = do(bounded)
		return unavailable(err), err
	})
	if unavailable(err) {
		return &InDoubtError{cause: err}
	}
	return err
}

// bounded adds the store's timeout to a context.
func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.timeout)
}

// errIncompleteHistory says that an app which was removed cannot be rebuilt from its history.
var errIncompleteHistory = errors.New("the history of the app is not complete")

// resolvePatchInDoubt finds out what became of a patch that is in doubt. It returns the app as the patch left it, even if the app was
// changed or removed since. changed is false when the patch was not written.
func (s *Store) resolvePatchInDoubt(p *appPatch, inDoubt *inDoubtError) (app App, changed bool, err error) {
	written, err := s.resolveInDoubt(p.Ctx, inDoubt, p.committed)
	if err != nil || !written {
		return App{}, false, s.translate("update app", err)
	}
	return p.app, true, nil
}

// committed is the patch's commitProbe. It looks for the version that the patch made in the history, which outlives the app, and sets
// p.app to what that version left.
//
// The version has the author and the request id of the patch, the time that the statement would have given it, changes no
// field to another value than the patch does, and leaves every field of the patch with the patch's value. A client may use a
// request id twice: any difference in these tells its patches apart. Two patches that set the same values are not told apart if the clock
// shows the same millisecond, or if the app's time is ahead of the clock. Each may then be answered with what the other left, which has
// the values that it asked for.
func (p *appPatch) committed(db *gorm.DB) (bool, error) {
	changes := tenant.Of(db, p.Key.ClientID).Model(&AppChange{}).Where("app_id = ?", p.Key.ID).Session(&gorm.Session{})
	own := changes.Where("actor_id = ? AND request_id = ? AND changed_at >= ?", p.by.ID, p.by.RequestID, p.now)
	if p.expected.row != 0 {
		own = own.Where("version = ?", p.expected.row+1)
	}
	var versions []int64
	if err := own.Distinct("version").Order("version DESC").Pluck("version", &versions).Error; err != nil || len(versions) == 0 {
		return false, err
	}
	// The row comes first: what it shows of later changes is then in the history.
	var row []App
	if err := tenant.Of(db, p.Key.ClientID).Select(appColumns).Where("id = ?", p.Key.ID).Limit(1).Find(&row).Error; err != nil {
		return false, err
	}
	var history []AppChange
	if err := changes.Order("version DESC").Find(&history).Error; err != nil {
		return false, err
	}
	for _, version := range versions {
		app, err := asOfVersion(p.Key, row, history, version)
		if err != nil {
			return false, err
		}
		if p.matchesVersion(app, history) {
			p.app = app
			return true, nil
		}
	}
	return false, nil
}

// matchesVersion reports whether the patch would have made this version of the app.
func (p *appPatch) matchesVersion(app App, history []AppChange) bool {
	at := slices.IndexFunc(history, func(c AppChange) bool { return c.Version == app.Version })
	before := slices.IndexFunc(history, func(c AppChange) bool { return c.Version < app.Version })
	if !app.UpdatedAt.Equal(p.now) && (before < 0 || !app.UpdatedAt.Equal(history[before].ChangedAt)) {
		return false // see monotonicUpdatedAt
	}
	for _, c := range history[at:] {
		if _, sets := p.fields[Column(c.Field)]; c.Version == app.Version && !sets {
			return false
		}
	}
	return p.fields.alreadyIn(app.fields())
}

// asOfVersion returns the app as a version left it, by its row, if that is still there, and its history, newest first.
func asOfVersion(key AppKey, row []App, history []AppChange, version int64) (App, error) {
	var app App
	known, fields := map[string]bool{}, map[string]any{}
	whole := len(row) > 0
	if whole {
		app = row[0]
	}
	for _, f := range appFields {
		f.set(&app, f.get(&app)) // which makes a pointer its own: decoding writes to what it points to
		known[string(f.column)], fields[string(f.column)] = whole, f.target(&app)
	}
	for _, c := range history {
		text := c.NewValue
		if c.Version > version {
			text = c.OldValue
		}
		if c.Field == "app" && c.OldValue == "null" && !whole {
			// The version that added the app: what no change has set is what new apps have.
			whole = true
			app.ClientID, app.ID, app.CreatedAt = key.ClientID, key.ID, c.ChangedAt
			fields[c.Field] = &app.CatalogAppID
		}
		if field, ok := fields[c.Field]; ok && (c.Version > version || !known[c.Field]) {
			known[c.Field] = true
			if err := json.Unmarshal([]byte(text), field); err != nil {
				return App{}, fmt.Errorf("change %s: %w", c.ID(), err)
			}
		}
		if c.Version == version {
			app.Version, app.UpdatedAt = c.Version, c.ChangedAt
		}
	}
	if !whole {
		return App{}, errIncompleteHistory
	}
	return app, nil
}

// returnVersions makes an update of apps return the id and the version of each.
var returnVersions = clause.Returning{Columns: []clause.Column{{Name: "id"}, {Name: "version"}}}

// madeVersions reports whether the author has made these versions of apps of one client, of which all were written or none. A version is
// made once: whoever made one of them under the same request id made this change too.
func (by Actor) madeVersions(db *gorm.DB, client uuid.UUID, made []App) (bool, error) {
	missing, ids := make(map[uuid.UUID]int64, len(made)), make([]uuid.UUID, len(made))
	for i, app := range made {
		ids[i], missing[app.ID] = app.ID, app.Version
	}
	var changes []AppChange
	q := tenant.Of(db, client).Where("actor_id = ? AND request_id = ?", by.ID, by.RequestID)
	if err := whereIn(q, "app_id", ids).Find(&changes).Error; err != nil {
		return false, err
	}
	for _, c := range changes {
		if missing[c.AppID] == c.Version {
			delete(missing, c.AppID)
		}
	}
	return len(missing) == 0, nil
}
