package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/singleflight"
	"gorm.io/gorm"

	"github.com/clientapps/clientapps/store/postgres"
	"github.com/clientapps/clientapps/store/retry"
	"github.com/clientapps/clientapps/store/tenant"
)

const (
	// maxErasedRows is how many rows of a client are erased in one transaction.
	maxErasedRows = 1000
	// minPause is the shortest pause between two transactions, also when another server erases the rows.
	minPause = 5 * time.Millisecond

	// A client with more rows keeps them until all servers know that it is being deleted, so that none shows a part of it.
	// deletionPollInterval is how often a server checks which clients are being deleted, deletionLease how long it relies on the result,
	// and deletionGracePeriod how long a server waits before it erases rows.
	deletionPollInterval = 2 * time.Second
	deletionLease        = 2 * deletionPollInterval
	deletionGracePeriod  = 3 * deletionPollInterval
)

// deletionChange selects the change that says that a client was deleted. It is all that stays of a client.
const deletionChange = "app_id = '00000000-0000-0000-0000-000000000000' AND field = 'client' AND new_value = 'null'"

// DeleteClient deletes a suspended client: its apps, its history, its webhooks, and what tokens cover of it. deleted is false when rows
// of a large client remain: EraseDeletedClients erases them. Meanwhile no other method finds the client on this server, nor on others
// after deletionLease; this one then changes nothing, whatever the condition.
//
// Errors are NotFoundError, PreconditionError and ClientNotSuspendedError.
func (s *Store) DeleteClient(ctx context.Context, id uuid.UUID, by Actor, match *IfMatch) (deleted bool, err error) {
	began, err := s.beginDeletion(ctx, id, by, match)
	if err != nil || !began {
		return false, s.translate("delete client", err)
	}
	if isDryRun(ctx) {
		return true, nil
	}
	if deleted, err = s.erase(ctx, id, eraseAll); err == nil && !deleted {
		_, err = s.loadDeleting(ctx)
	}
	if err != nil {
		s.log.Warn("erase client", "client_id", id, "error", err) // it is being deleted all the same
	}
	return deleted, nil
}

// beginDeletion marks a client as being deleted. It returns false if it is marked already.
func (s *Store) beginDeletion(ctx context.Context, id uuid.UUID, by Actor, match *IfMatch) (began bool, err error) {
	for range 10 {
		seen, err := takeClient(s.reader.WithContext(ctx), id)
		if err != nil || seen.DeletingSince != nil {
			return false, err
		}
		if err := match.Check(seen.ETag()); err != nil {
			return false, err
		}
		if seen.Status != StatusSuspended {
			return false, &ClientNotSuspendedError{ID: id}
		}
		marked, err := s.markDeleting(ctx, seen, by)
		if marked || err != nil {
			return marked, err
		}
	}
	return false, &UnavailableError{reason: ReasonConflict, cause: fmt.Errorf("client %s changes too often", id)}
}

// markDeleting marks a client as being deleted if it still has the version that was seen.
func (s *Store) markDeleting(ctx context.Context, seen Client, by Actor) (marked bool, err error) {
	now := maxTime(s.now(), seen.UpdatedAt)
	set := s.auditColumns(by, gorm.Expr("?", now))
	set["version"], set["deleting_since"] = gorm.Expr("version + 1"), now
	began := func(db *gorm.DB) (bool, error) { return deletionBegan(db, seen.ID) }
	err = s.inTx(ctx, clientShare(seen.ID), began, func(tx *gorm.DB) error {
		res := tx.Model(&Client{}).Where("id = ? AND version = ?", seen.ID, seen.Version).Updates(set)
		if marked = res.RowsAffected == 1; !marked {
			return res.Error
		}
		return tenant.Of(tx, seen.ID).Delete(&Webhook{}).Error
	})
	return marked && err == nil, err
}

// deletionBegan reports whether a client is being deleted, or was.
func deletionBegan(db *gorm.DB, id uuid.UUID) (bool, error) {
	var n int64
	err := tenant.Of(db, id).Model(&AppChange{}).Where(deletionChange).Count(&n).Error
	return n > 0, err
}

// What a transaction does that erases rows of a client: all that fit, or nothing if not all of them fit.
const (
	eraseSome = false
	eraseAll  = true
)

// errRowsLeft says that a client has more rows than one transaction erases.
var errRowsLeft = errors.New("rows of the client are left")

// erase erases rows of a client that is being deleted in one transaction, and reports whether nothing is left. Two servers do not erase rows
// of one client at once.
func (s *Store) erase(ctx context.Context, id uuid.UUID, all bool) (deleted bool, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	// A token that is just being made may cover the client, and a webhook may follow it: whoever began before the client was marked did not
	// see that.
	if err := s.db.AwaitWriters(ctx, "tokens", "webhooks"); err != nil {
		return false, err
	}
	notCommitted := func(*gorm.DB) (bool, error) { return false, nil } // assumed, so that it runs again: what was erased is not found
	err = s.inTx(ctx, clientShare(id), notCommitted, func(tx *gorm.DB) error {
		var err error
		if tx.Name() == postgres.Name {
			err = tx.Exec("SELECT erase_client(?, ?)", id, maxErasedRows).Error
		} else {
			err = eraseInSQLite(tx, id)
		}
		if err != nil {
			return err
		}
		var left int64
		err = tx.Model(&Client{}).Where("id = ?", id).Count(&left).Error
		if deleted = left == 0; err == nil && all && !deleted {
			return errRowsLeft
		}
		return err
	})
	if errors.Is(err, errRowsLeft) {
		return false, nil
	}
	if deleted = deleted && err == nil; deleted {
		s.tokens.Clear() // some of them covered the client
		s.log.Info("client erased", "client_id", id)
	}
	return deleted, err
}

// eraseInSQLite does what the function erase_client does in PostgreSQL.
func eraseInSQLite(tx *gorm.DB, id uuid.UUID) error {
	client, err := takeClient(tx, id)
	if err != nil || client.DeletingSince == nil {
		return nil //nolint:nilerr // there is nothing to erase
	}
	own := tenant.Of(tx, id).Session(&gorm.Session{})
	if err := own.Delete(&Webhook{}).Error; err != nil {
		return err
	}
	apps := own.Where("id IN (?)", own.Model(&App{}).Select("id").Order("id").Limit(maxErasedRows)).Delete(&App{})
	if apps.Error != nil {
		return apps.Error
	}
	left := maxErasedRows - int(apps.RowsAffected)
	changes := own.Where("(app_id, version, field) IN (?)", own.Model(&AppChange{}).Select("app_id, version, field").
		Where("NOT ("+deletionChange+")").Order("app_id, version, field").Limit(left)).Delete(&AppChange{})
	if changes.Error != nil || int(changes.RowsAffected) == left {
		return changes.Error
	}
	for _, rest := range []any{&clientAppCount{}, &TokenClient{}} {
		if err := own.Delete(rest).Error; err != nil {
			return err
		}
	}
	return tx.Where("id = ?", id).Delete(&Client{}).Error
}

// clientAppCount is a row of the table that counts a client's apps.
type clientAppCount struct{ ClientID uuid.UUID }

// EraseDeletedClients erases the rows of clients that are being deleted, until ctx ends: those that DeleteClient leaves on this server,
// and those of a server that has ended.
func (s *Store) EraseDeletedClients(ctx context.Context) {
	since := map[uuid.UUID]time.Time{} // when this server first saw them
	for retry.Sleep(ctx, deletionPollInterval) {
		known := s.deleting.known.Load()
		if known == nil {
			continue
		}
		maps.DeleteFunc(since, func(id uuid.UUID, _ time.Time) bool { return !known.ids[id] })
		for id := range known.ids {
			if _, seen := since[id]; !seen {
				since[id] = time.Now()
			}
			if time.Since(since[id]) < deletionGracePeriod {
				continue
			}
			if err := s.eraseInBatches(ctx, id); err != nil && ctx.Err() == nil {
				s.log.Warn("erase client", "client_id", id, "error", err)
			}
		}
	}
}

// FinishDeletion erases what is left of a client that is being deleted. It returns when nothing is left, or an error.
func (s *Store) FinishDeletion(ctx context.Context, id uuid.UUID) error {
	if !retry.Sleep(ctx, deletionGracePeriod) {
		return ctx.Err()
	}
	return s.eraseInBatches(ctx, id)
}

// eraseInBatches erases rows until nothing is left. After each transaction it pauses as long as that took, so that others hardly notice.
func (s *Store) eraseInBatches(ctx context.Context, id uuid.UUID) error {
	for {
		start := time.Now()
		deleted, err := s.erase(ctx, id, eraseSome)
		if deleted || err != nil {
			return err
		}
		if !retry.Sleep(ctx, max(time.Since(start), minPause)) {
			return ctx.Err()
		}
	}
}

// deletions is what a server knows of the clients that are being deleted.
type deletions struct {
	known atomic.Pointer[deletingClients]
	loads singleflight.Group // requests that find known too old share one load
}

// deletingClients are the clients that were being deleted at a time.
type deletingClients struct {
	at  time.Time
	ids map[uuid.UUID]bool
}

// checkNotDeleting returns NotFoundError if the client is being deleted, as far as this server knows. It asks the database only if what it
// knows is older than deletionLease: as a condition of each statement that reads, the question would cost the database half as much
// again as reading an app.
func (s *Store) checkNotDeleting(ctx context.Context, id uuid.UUID) error {
	known := s.deleting.known.Load()
	if known == nil || time.Since(known.at) > deletionLease {
		var err error
		if known, err = s.loadDeletingShared(ctx); err != nil {
			return s.translate("look for clients that are being deleted", err)
		}
	}
	if known.ids[id] {
		return &NotFoundError{Kind: KindClient, ID: id}
	}
	return nil
}

func (s *Store) loadDeletingShared(ctx context.Context) (*deletingClients, error) {
	loaded := s.deleting.loads.DoChan("", func() (any, error) { return s.loadDeleting(context.WithoutCancel(ctx)) })
	select {
	case result := <-loaded:
		known, _ := result.Val.(*deletingClients)
		return known, result.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// loadDeleting reads from the database which clients are being deleted.
func (s *Store) loadDeleting(ctx context.Context) (*deletingClients, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	known := &deletingClients{at: time.Now(), ids: map[uuid.UUID]bool{}}
	var ids []uuid.UUID
	marked := s.reader.WithContext(ctx).Model(&Client{}).Where("status <> 'active' AND deleting_since IS NOT NULL")
	if err := marked.Pluck("id", &ids).Error; err != nil {
		return nil, err
	}
	for _, id := range ids {
		known.ids[id] = true
	}
	for {
		last := s.deleting.known.Load()
		if last != nil && last.at.After(known.at) {
			return known, nil // somebody has looked since
		}
		if s.deleting.known.CompareAndSwap(last, known) {
			return known, nil
		}
	}
}

// pollDeletions keeps what checkNotDeleting knows fresh, until ctx ends.
func (s *Store) pollDeletions(ctx context.Context) {
	for retry.Sleep(ctx, deletionPollInterval) {
		if _, err := s.loadDeleting(ctx); err != nil && ctx.Err() == nil {
			s.log.Debug("look for clients that are being deleted", "error", err)
		}
	}
}
