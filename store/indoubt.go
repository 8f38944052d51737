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

// attempts bounds how often a statement or a transaction is tried that failed without writing. Several idle connections can be
// broken at once, or keep plans from before a table was altered: the first attempts follow each other at once.
var attempts = retry.Policy{Attempts: 10, Pause: time.Millisecond, MaxPause: 50 * time.Millisecond}

// lockWaits is the pause before a read waits for a lock again.
var lockWaits = retry.Policy{Pause: time.Millisecond}

// probes is how often the database is asked what became of a write, until the time for that is over.
var probes = retry.Policy{Pause: 50 * time.Millisecond}

// InDoubtError says that the connection broke during a write, and that the database did not say in time whether the write
// was committed. Its caller must not report success, nor that nothing was written.
type InDoubtError struct{ cause error }

func (e *InDoubtError) Error() string {
	return fmt.Sprintf("whether it was written is not known: %v", e.cause)
}

// errCannotTell is what a commitProbe returns when later writes hide whether its own was committed.
var errCannotTell = errors.New("others have written since")

// inDoubtError is the failure of a patch that may have been committed, with what ends its connection.
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
	return attempts.Do(ctx, func() (again bool, err error) {
		err = do()
		return s.retryable(ctx, err), err
	})
}

// retryRead is retry for what only reads. On a distributed database the lock_timeout of patches ends its wait for a table that a migration
// alters: it waits again until ctx ends.
func (s *Store) retryRead(ctx context.Context, do func() error) error {
	err := lockWaits.Do(ctx, func() (again bool, err error) {
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
func (s *Store) resolveInDoubt(ctx context.Context, gone *inDoubtError, wrote commitProbe) (written bool, err error) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return false, gone.cause // the caller has gone
	}
	s.db.DropIdle()
	if wrote == nil {
		return false, &InDoubtError{cause: gone.cause}
	}
	bounded, cancel := s.bounded(context.WithoutCancel(ctx))
	defer cancel()
	err = probes.Do(bounded, func() (again bool, err error) {
		if err = gone.fence(bounded); err == nil {
			written, err = wrote(s.write.WithContext(bounded))
		}
		return unavailable(err) || mayHaveCommitted(err), err
	})
	switch {
	case err != nil:
		return false, &InDoubtError{cause: errors.Join(gone.cause, err)}
	case !written && (ctx.Err() != nil || postgres.StatementTimeout(gone.cause)):
		return false, &UnavailableError{cause: gone.cause}
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
	err = probes.Do(bounded, func() (again bool, err error) {
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

// resolvePatchInDoubt is updateApp for a patch that is in doubt: an app that the patch was written to is returned as
// the patch left it, also when it was changed or removed since. changed is false when the patch was not written.
func (s *Store) resolvePatchInDoubt(p *appPatch, gone *inDoubtError) (app App, changed bool, err error) {
	written, err := s.resolveInDoubt(p.Ctx, gone, p.wrote)
	if err != nil || !written {
		return App{}, false, s.translate("update app", err)
	}
	return p.app, true, nil
}

// wrote is the patch's commitProbe. It looks for the version that the patch made in the history, which outlives the app, and sets
// p.app to what that version left.
//
// The version has the author and the request id of the patch, the time that the statement would have given it, changes no
// field to another value than the patch does, and leaves every field of the patch with the patch's value. Thus two patches
// under one request id, which a client may use twice, are told apart by any of these. Two are not that set the same values
// when the clock shows the same millisecond, or while the app has a time that is ahead of the clock: each may then be answered
// with what the other left, which has the values that it asked for.
func (p *appPatch) wrote(db *gorm.DB) (bool, error) {
	changes := tenant.Of(db, p.Key.ClientID).Model(&AppChange{}).Where("app_id = ?", p.Key.ID).Session(&gorm.Session{})
	own := changes.Where("actor_id = ? AND request_id = ? AND changed_at >= ?", p.by.ID, p.by.RequestID, p.now)
	if p.at.row != 0 {
		own = own.Where("version = ?", p.at.row+1)
	}
	var versions []int64
	if err := own.Distinct("version").Order("version DESC").Pluck("version", &versions).Error; err != nil || len(versions) == 0 {
		return false, err
	}
	// The row comes first: what it shows of later changes is then in the history.
	var row []App
	if err := tenant.Of(db, p.Key.ClientID).Where("id = ?", p.Key.ID).Limit(1).Find(&row).Error; err != nil {
		return false, err
	}
	var history []AppChange
	if err := changes.Order("version DESC").Find(&history).Error; err != nil {
		return false, err
	}
	for _, version := range versions {
		left, err := asOfVersion(p.Key, row, history, version)
		if err != nil {
			return false, err
		}
		if p.fits(left, history) {
			p.app = left
			return true, nil
		}
	}
	return false, nil
}

// fits says whether the patch would have made this version of the app.
func (p *appPatch) fits(left App, history []AppChange) bool {
	at := slices.IndexFunc(history, func(c AppChange) bool { return c.Version == left.Version })
	before := slices.IndexFunc(history, func(c AppChange) bool { return c.Version < left.Version })
	if !left.UpdatedAt.Equal(p.now) && (before < 0 || !left.UpdatedAt.Equal(history[before].ChangedAt)) {
		return false // see notEarlier
	}
	for _, c := range history[at:] {
		if _, sets := p.fields[Column(c.Field)]; c.Version == left.Version && !sets {
			return false
		}
	}
	return p.fields.in(left.fields())
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
			app.ActorID, app.ActorName, app.RequestID = c.ActorID, c.ActorName, c.RequestID
		}
	}
	if !whole {
		return App{}, errIncompleteHistory
	}
	return app, nil
}

// returnVersions has an update of apps tell the version of each. Their keys tell which.
var returnVersions = clause.Returning{Columns: []clause.Column{{Name: "id"}, {Name: "version"}}}

// wrote says whether the author has made these versions of apps of one client: all or none was written. Versions are made once: whoever
// made one of them under the same request id made this change too.
func (by Actor) wrote(db *gorm.DB, client uuid.UUID, made []App) (bool, error) {
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
