package store

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/clientapps/clientapps/store/changefeed"
	"github.com/clientapps/clientapps/store/tenant"
)

// webhookCountInterval is how often a server counts the webhooks.
const webhookCountInterval = 10 * time.Second

// webhookState is the only row of its table. All changes before its position are marked: each webhook that follows one of them has a DueAt.
type webhookState struct {
	ID       int
	Position int64
}

// TableName implements gorm's Tabler.
func (webhookState) TableName() string { return "webhook_state" }

// UndeliveredChanges are changes that a webhook has not delivered.
type UndeliveredChanges struct {
	Rows []AppChange // in the order of the feed; empty: there are none up to Next
	Next string      // the key behind all that was looked at
	More bool        // there may be changes behind Next; otherwise Next is the end of the feed at that moment
	Lost bool        // changes before Rows were pruned before they were delivered
}

// KeyAfter returns the key behind a row.
func (n *UndeliveredChanges) KeyAfter(i int) string { return n.Rows[i].key().String() }

// WebhookBatch is what is delivered with one request, and again with the same bytes until that succeeds.
type WebhookBatch struct {
	ID             uuid.UUID
	Body           []byte
	Key            string    // behind its last change: see UndeliveredChanges.KeyAfter and Next
	FirstChangedAt time.Time // of its first change
}

// WebhookNext is what follows an attempt.
type WebhookNext struct {
	Batch   *WebhookBatch // after a success: the next one to keep, if it is known
	DueAt   time.Time     // after a failure: when to try again
	Disable string        // if it is not empty, the webhook is disabled after a failure, and this is the reason
}

// lockWebhookState locks the row of webhook_state and returns its position. It is locked before any row of tokens or webhooks.
func lockWebhookState(tx *gorm.DB) (int64, error) {
	var state webhookState
	err := tx.Clauses(forNoKeyUpdate).Where("id = 1").Take(&state).Error
	return state.Position, err
}

// enabledWebhooks reports whether any webhook is not disabled.
func enabledWebhooks(db *gorm.DB) (bool, error) {
	var some []Webhook
	err := webhooks(db).Select("id").Where("status <> 'disabled'").Limit(1).Find(&some).Error
	return len(some) > 0, err
}

// resumeMarking is called before a webhook becomes active. While all were disabled, nothing was marked: it goes on at the horizon.
func resumeMarking(tx *gorm.DB, horizon int64) error {
	enabled, err := enabledWebhooks(tx)
	if err != nil || enabled {
		return err
	}
	return tx.Model(&webhookState{}).Where("id = 1 AND position < ?", horizon).Update("position", horizon).Error
}

// MarkWebhooks makes all webhooks due that follow changes made since the last call on any server, of the next 20,000 changes at most.
// enabled is false if all webhooks are disabled. Every server calls it all the time: without such changes it only reads, however many
// webhooks there are.
func (s *Store) MarkWebhooks(ctx context.Context) (enabled bool, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if err := s.countWebhooks(ctx); err != nil {
		return false, s.translate("count webhooks", err)
	}
	enabled, _, err = s.markWebhooks(ctx)
	return enabled, s.translate("mark webhooks", err)
}

// markWebhooks is MarkWebhooks without counting the webhooks. more reports whether there may be more to mark.
func (s *Store) markWebhooks(ctx context.Context) (enabled, more bool, err error) {
	if enabled, err = enabledWebhooks(s.reader.WithContext(ctx)); err != nil || !enabled {
		return enabled, false, err
	}
	var from webhookState
	if !s.rls { // which hides the changes from a statement outside of a transaction
		if unmarked, err := anyUnmarked(s.reader.WithContext(ctx)); err != nil || !unmarked {
			return enabled, false, err
		}
	}
	var upTo int64 // exclusive
	var clients []uuid.UUID
	err = s.readFeed(ctx, func(tx *gorm.DB, state changefeed.State) error {
		clients, upTo, more = nil, state.Horizon, false
		err := errors.Join(tx.Where("id = 1").Take(&from).Error, forceCustomPlans(tx))
		if err != nil || from.Position >= upTo {
			return err
		}
		all := changeScope{}.selectChanges(tx).Where("position >= ? AND position < ?", from.Position, state.Horizon).Session(&gorm.Session{})
		end, err := keyAfter(all, sparseScanLimit)
		if end != nil { // whole positions
			upTo, more = end.Position+1, true
		}
		if err == nil {
			err = changedClients(tx, from.Position, upTo, &clients)
		}
		return err
	})
	if err != nil || len(clients) == 0 {
		return enabled, false, err
	}
	notCommitted := func(*gorm.DB) (bool, error) { return false, nil } // assumed, so that it runs again: then another position is marked
	err = s.inTx(ctx, webhookShare, notCommitted, func(tx *gorm.DB) error {
		marked, err := lockWebhookState(tx)
		if err != nil || marked != from.Position {
			return err // by another server
		}
		now, begin := s.now(), changefeed.Before(from.Position).String()
		const idle = "CASE WHEN due_at IS NULL AND position < ? THEN ? ELSE "
		of := whereIn(tx.Session(&gorm.Session{NewDB: true}), "client_id", clients).Or("client_id IS NULL")
		err = webhooks(tx).Model(&Webhook{}).Where("status <> 'disabled'").Where(of).Updates(map[string]any{
			"marked": upTo, "due_at": gorm.Expr("coalesce(due_at, ?)", now), "behind_since": gorm.Expr("coalesce(behind_since, ?)", now),
			"position": gorm.Expr(idle+"position END", from.Position, from.Position), "key": gorm.Expr(idle+"key END", from.Position, begin),
		}).Error
		if err != nil {
			return err
		}
		return tx.Model(&webhookState{}).Where("id = 1").Update("position", upTo).Error
	})
	return enabled, more, err
}

// anyUnmarked reports whether there are changes behind those that are marked, also if they cannot be read yet.
func anyUnmarked(db *gorm.DB) (bool, error) {
	var some []AppChange
	all := changeScope{}.selectChanges(db).Where("position >= (SELECT position FROM webhook_state WHERE id = 1)")
	err := all.Select(changeOrder).Order(changeOrder).Limit(1).Find(&some).Error
	return len(some) > 0, err
}

// changedClients reads the clients that have changes at or after one position and before another.
func changedClients(tx *gorm.DB, from, upTo int64, clients *[]uuid.UUID) error {
	all := tenant.CrossTenant(tx, "webhooks of all clients are marked").Model(&AppChange{})
	return all.Where("position >= ? AND position < ?", from, upTo).Distinct().Pluck("client_id", clients).Error
}

// ClaimWebhooks gives the owner at most n webhooks of a status that are due, the longest first, until the lease ends or
// FinishWebhookAttempt or ReleaseWebhook gives it up. Nobody else gets them meanwhile. If none is due it only reads.
func (s *Store) ClaimWebhooks(ctx context.Context, owner uuid.UUID, status string, n int, lease time.Duration) ([]Webhook, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var claimed []Webhook
	due := func(db *gorm.DB, n int) *gorm.DB {
		now := s.now()
		return webhooks(db).Where("status = ? AND due_at <= ? AND (lease_until IS NULL OR lease_until <= ?)", status, now, now).
			Order("due_at, id").Limit(n)
	}
	err := due(s.reader.WithContext(ctx), 1).Select("id").Find(&claimed).Error
	if err != nil || len(claimed) == 0 {
		return nil, s.translate("look for webhooks that are due", err)
	}
	until := s.now().Add(lease)
	var ids []uuid.UUID
	committed := func(db *gorm.DB) (bool, error) {
		var n int64
		q := whereIn(webhooks(db).Model(&Webhook{}), "id", ids)
		err := q.Where("lease_owner = ? AND lease_until = ?", owner, until).Count(&n).Error
		return int(n) == len(ids), err
	}
	err = s.inTx(ctx, deliveryShare, committed, func(tx *gorm.DB) error {
		claimed, ids, until = nil, nil, s.now().Add(lease)
		if err := due(tx.Clauses(clause.Locking{Strength: "UPDATE", Options: "SKIP LOCKED"}), n).Find(&claimed).Error; err != nil || len(claimed) == 0 {
			return err
		}
		for i := range claimed {
			claimed[i].LeaseOwner, claimed[i].LeaseUntil = &owner, &until
			ids = append(ids, claimed[i].ID)
		}
		return whereIn(webhooks(tx).Model(&Webhook{}), "id", ids).Updates(map[string]any{"lease_owner": owner, "lease_until": until}).Error
	})
	if err != nil {
		return nil, s.translate("claim webhooks", err)
	}
	return claimed, nil
}

// ReadWebhook returns the changes, at most size, that follow what the webhook has delivered, and that it follows.
func (s *Store) ReadWebhook(ctx context.Context, w *Webhook, size int) (changes UndeliveredChanges, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	key, err := changefeed.Parse(w.Key)
	if err != nil {
		return changes, err
	}
	err = s.readFeed(ctx, func(tx *gorm.DB, state changefeed.State) error {
		// The webhook is of this database, so that no nonce is needed.
		list, err := s.changesIn(tx, state, w.scope(), ChangeStart{}, key, size)
		changes = UndeliveredChanges{Rows: list.Rows, Next: list.Next.TieBreaker, More: list.More, Lost: key.Position < state.PrunedPosition}
		return err
	})
	return changes, err
}

// whereLeased selects the webhook if the worker has its lease, and nobody has moved it.
func (w *Webhook) whereLeased(db *gorm.DB) *gorm.DB {
	return webhooks(db).Model(&Webhook{}).Where("id = ? AND lease_owner = ? AND key = ?", w.ID, orNil(w.LeaseOwner), w.Key)
}

// updateLeased sets columns of a webhook whose lease the worker has, if nothing that it read of it has changed. Otherwise it gives up
// the lease and returns ErrWebhookChanged.
func (s *Store) updateLeased(ctx context.Context, w *Webhook, probe commitProbe, set map[string]any) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	done := false
	err := s.inTx(ctx, deliveryShare, probe, func(tx *gorm.DB) error {
		res := w.whereLeased(tx).Where("version = ? AND batch_id IS NULL AND status <> 'disabled'", w.Version).Updates(set)
		if done = res.RowsAffected == 1; res.Error != nil || done {
			return res.Error
		}
		return w.endLease(tx)
	})
	if err == nil && !done {
		err = ErrWebhookChanged
	}
	return err
}

// endLease ends the worker's lease, if it still has it.
func (w *Webhook) endLease(tx *gorm.DB) error {
	q := webhooks(tx).Model(&Webhook{}).Where("id = ? AND lease_owner = ?", w.ID, orNil(w.LeaseOwner))
	return q.Updates(map[string]any{"lease_owner": nil, "lease_until": nil}).Error
}

// KeepWebhookBatch fixes a batch of what ReadWebhook has returned, before the first attempt to deliver it. It updates w, and extends the
// lease. ErrWebhookChanged says that the webhook is another than w now.
func (s *Store) KeepWebhookBatch(ctx context.Context, w *Webhook, batch WebhookBatch, lease time.Duration) error {
	until := s.now().Add(lease)
	committed := func(db *gorm.DB) (bool, error) {
		row, err := takeWebhook(webhooks(db), w.ID)
		return err == nil && sameID(row.BatchID, &batch.ID), ignoreMissing(err)
	}
	kept, set := *w, map[string]any{"lease_until": until}
	kept.keep(&batch, set)
	err := s.updateLeased(ctx, w, committed, set)
	if err == nil {
		kept.Batch, kept.LeaseUntil = &batch.Body, &until
		*w = kept
	}
	return s.translate("keep a batch of a webhook", err)
}

// ignoreMissing returns an error unless it is NotFoundError.
func ignoreMissing(err error) error {
	if missing := (*NotFoundError)(nil); errors.As(err, &missing) {
		return nil
	}
	return err
}

// WebhookAttempt is one attempt to deliver.
type WebhookAttempt struct {
	ID          uuid.UUID // set by the store if it is zero
	WebhookID   uuid.UUID
	DeliveryID  uuid.UUID // the header webhook-id: of the batch, or a ping's own
	Type        string    // app.changed or ping
	AttemptedAt time.Time
	DurationMS  int32
	Status      *int32  // of HTTP; nil: there was no answer
	Error       *string // nil: success; never has an address
	Outcome     string  `gorm:"-"` // for the metrics alone
}

// TableName implements gorm's Tabler.
func (WebhookAttempt) TableName() string { return "webhook_deliveries" }

// attemptKept is the probe of a transaction that keeps an attempt.
func attemptKept(a *WebhookAttempt) commitProbe {
	return func(db *gorm.DB) (bool, error) {
		var n int64
		err := db.Model(&WebhookAttempt{}).Where("webhook_id = ? AND id = ?", a.WebhookID, a.ID).Count(&n).Error
		return n > 0, err
	}
}

// FinishWebhookAttempt records an attempt to deliver w's batch, and what follows from it. It updates w.
//
// If the attempt has no error, the webhook moves behind the batch, is active and due at once, and the lease is extended. The next batch
// is kept unless a caller has changed the webhook: then w has none.
//
// Otherwise it fails and is due when next says, or is disabled, and the lease is given up. If a caller has changed the webhook during
// the attempt, it is due at once.
//
// ErrWebhookChanged says that the batch or the lease is another's now, or that the webhook was deleted.
func (s *Store) FinishWebhookAttempt(
	ctx context.Context, w *Webhook, attempt WebhookAttempt, next WebhookNext, lease time.Duration,
) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if attempt.ID == uuid.Nil {
		attempt.ID = uuid.New()
	}
	attempt.WebhookID = w.ID
	var row Webhook
	var owned bool
	err := s.inTx(ctx, deliveryShare, attemptKept(&attempt), func(tx *gorm.DB) (err error) {
		owned = false
		if row, err = takeWebhook(webhooks(tx.Clauses(forNoKeyUpdate)), w.ID); err != nil {
			return ignoreMissing(err) // with its deliveries
		}
		if err := tx.Create(&attempt).Error; err != nil {
			return err
		}
		owned = sameID(row.LeaseOwner, w.LeaseOwner)
		var set map[string]any
		switch {
		case !sameID(row.BatchID, w.BatchID):
			owned = false
			return w.endLease(tx)
		case attempt.Error == nil:
			set, err = row.delivered(owned, s.now(), lease)
			if owned && err == nil && row.Version == w.Version && row.Status != WebhookDisabled {
				row.keep(next.Batch, set)
			}
		case owned:
			set = row.failed(*attempt.Error, next, row.Version != w.Version, s.now())
		}
		if err != nil || len(set) == 0 {
			return err
		}
		return webhooks(tx).Model(&Webhook{}).Where("id = ?", w.ID).Updates(set).Error
	})
	if err == nil {
		s.webhookCounts.count(attempt.Outcome)
		if !owned {
			return ErrWebhookChanged
		}
		if row.Batch = w.Batch; attempt.Error == nil {
			row.Batch = nil
		}
		if next.Batch != nil && sameID(row.BatchID, &next.Batch.ID) {
			row.Batch = &next.Batch.Body
		}
		*w = row
	}
	return s.translate("finish an attempt to deliver", err)
}

// keep notes that a batch, if there is one, is the next to be delivered, and adds the columns that this sets.
func (w *Webhook) keep(batch *WebhookBatch, set map[string]any) {
	if batch == nil {
		return
	}
	w.BatchID, w.BatchKey, w.BehindSince = &batch.ID, &batch.Key, &batch.FirstChangedAt
	set["batch_id"], set["batch"], set["batch_key"], set["behind_since"] = batch.ID, batch.Body, batch.Key, batch.FirstChangedAt
}

func sameID(a, b *uuid.UUID) bool { return a != nil && b != nil && *a == *b }

// delivered moves the webhook behind its batch, and returns the columns that this sets. A webhook that was disabled meanwhile stays so.
func (w *Webhook) delivered(owned bool, now time.Time, lease time.Duration) (map[string]any, error) {
	key, err := changefeed.Parse(*w.BatchKey)
	if err != nil {
		return nil, err
	}
	w.Position, w.Key = key.Position, key.String()
	w.BatchID, w.BatchKey, w.Failures, w.FailingSince, w.LastError = nil, nil, 0, nil, nil
	set := map[string]any{
		"position": w.Position, "key": w.Key, "batch_id": nil, "batch": nil, "batch_key": nil,
		"failures": 0, "failing_since": nil,
	}
	if w.Status != WebhookDisabled {
		w.Status, w.DueAt = WebhookActive, &now
		set["status"], set["due_at"], set["last_error"] = w.Status, now, nil
	}
	if owned {
		until := now.Add(lease)
		w.LeaseUntil = &until
		set["lease_until"] = until
	}
	return set, nil
}

// failed notes that an attempt has failed, and returns the columns that this sets.
func (w *Webhook) failed(cause string, next WebhookNext, changed bool, now time.Time) map[string]any {
	w.Failures++
	w.Status, w.LastError, w.DueAt = WebhookFailing, &cause, &next.DueAt
	if w.FailingSince == nil {
		w.FailingSince = &now
	}
	switch {
	case changed: // to another URL, say
		w.DueAt = &now
	case next.Disable != "":
		w.Status, w.LastError, w.DueAt = WebhookDisabled, &next.Disable, nil
	}
	w.LeaseOwner, w.LeaseUntil = nil, nil
	return map[string]any{
		"failures": w.Failures, "status": w.Status, "last_error": *w.LastError, "failing_since": *w.FailingSince, "due_at": orNil(w.DueAt),
		"lease_owner": nil, "lease_until": nil,
	}
}

// ReleaseWebhook gives up the lease of a webhook. With changes, which must have no rows, nothing is to be delivered before changes.Next: the
// webhook is due again when something was marked behind that, or will be. Without changes it stays due. ErrWebhookChanged does no harm.
func (s *Store) ReleaseWebhook(ctx context.Context, w *Webhook, changes *UndeliveredChanges) error {
	notCommitted := func(*gorm.DB) (bool, error) { return false, nil } // assumed, so that it runs again: then the lease is given up already
	if changes == nil {
		ctx, cancel := s.bounded(ctx)
		defer cancel()
		return s.translate("release a webhook", s.inTx(ctx, deliveryShare, notCommitted, w.endLease))
	}
	key, err := changefeed.Parse(changes.Next)
	if err != nil {
		return err
	}
	now := s.now()
	set := map[string]any{
		"position": key.Position, "key": changes.Next, "due_at": now, "lease_owner": nil, "lease_until": nil,
	}
	if !changes.More {
		dueIfMarked := gorm.Expr("CASE WHEN marked > ? THEN "+s.db.Greatest()+"(?, due_at) END", key.Position, now) // due_at gives it its type
		set["due_at"], set["behind_since"] = dueIfMarked, dueIfMarked
	}
	return s.translate("release a webhook", s.updateLeased(ctx, w, notCommitted, set))
}

const (
	// attemptRetention is for how long attempts to deliver are shown.
	attemptRetention = 3 * 24 * time.Hour
	// attemptsPruneBatch is how many attempts one call of PruneWebhookDeliveries deletes, and some more of the same moment.
	attemptsPruneBatch = 1000
)

// PruneWebhookDeliveries deletes attempts that are older than three days: about 1,000, the oldest. more reports whether there may be others.
func (s *Store) PruneWebhookDeliveries(ctx context.Context) (more bool, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	notCommitted := func(*gorm.DB) (bool, error) { return false, nil } // assumed, so that it runs again: then the next ones are deleted
	err = s.inTx(ctx, deliveryShare, notCommitted, func(tx *gorm.DB) error {
		old := tx.Where("attempted_at < ?", s.now().Add(-attemptRetention)).Session(&gorm.Session{})
		var last []WebhookAttempt
		err := old.Select("attempted_at").Order("attempted_at").Offset(attemptsPruneBatch - 1).Limit(1).Find(&last).Error
		if err != nil {
			return err
		}
		if more = len(last) > 0; more {
			old = old.Where("attempted_at <= ?", last[0].AttemptedAt)
		}
		return old.Delete(&WebhookAttempt{}).Error
	})
	return more, s.translate("prune deliveries of webhooks", err)
}

// ReencryptWebhookSecrets calls reencrypt with each secret that is stored, also those of before a rotation that are still good, and stores
// what it returns if that is changed. It returns how many webhooks have got another secret. When it fails, the next call does the rest.
func (s *Store) ReencryptWebhookSecrets(
	ctx context.Context, reencrypt func(id uuid.UUID, secret []byte) (reencrypted []byte, changed bool, err error),
) (n int, err error) {
	last := uuid.Nil
	for {
		var rows []Webhook
		q := webhooks(s.reader.WithContext(ctx)).Select("id, secret, previous_secret, previous_until")
		if err := q.Where("id > ?", last).Order("id").Limit(reencryptPageSize).Find(&rows).Error; err != nil || len(rows) == 0 {
			return n, s.translate("read secrets of webhooks", err)
		}
		for i := range rows {
			done, err := s.reencryptWebhook(ctx, &rows[i], reencrypt)
			if err != nil {
				return n, s.translate("encrypt the secrets of a webhook", err)
			}
			if done {
				n++
			}
		}
		last = rows[len(rows)-1].ID
	}
}

// reencryptPageSize is how many webhooks ReencryptWebhookSecrets reads at once.
const reencryptPageSize = 500

func (s *Store) reencryptWebhook(
	ctx context.Context, w *Webhook, reencrypt func(id uuid.UUID, secret []byte) (reencrypted []byte, changed bool, err error),
) (done bool, err error) {
	set := map[string]any{}
	reencrypted, changed, err := reencrypt(w.ID, w.Secret)
	if err == nil && changed {
		set["secret"] = reencrypted
	}
	if err == nil && w.PreviousSecret != nil && w.PreviousUntil != nil {
		if s.now().After(*w.PreviousUntil) { // its key may be gone, too
			set["previous_secret"], set["previous_until"] = nil, nil
		} else if reencrypted, changed, err = reencrypt(w.ID, *w.PreviousSecret); err == nil && changed {
			set["previous_secret"] = reencrypted
		}
	}
	if err != nil || len(set) == 0 {
		return false, err
	}
	notCommitted := func(*gorm.DB) (bool, error) { return false, nil } // assumed, so that it runs again: then the old secret is not found
	err = s.inTx(ctx, webhookShare, notCommitted, func(tx *gorm.DB) error {
		// Unless it was rotated meanwhile: with the key that is used now.
		res := webhooks(tx).Model(&Webhook{}).Where("id = ? AND secret = ?", w.ID, w.Secret).Updates(set)
		done = res.RowsAffected == 1
		return res.Error
	})
	return done, err
}

// WebhookStats describes the webhooks.
type WebhookStats struct {
	Attempts map[string]uint64 // of this server, by WebhookAttempt.Outcome

	// Of the whole database, as MarkWebhooks saw them at most ten seconds before its last call.
	Active, Failing, Disabled int64

	Lag time.Duration // for how long the oldest change waits for a webhook that is not disabled
}

// webhookCounts is what Stats says of webhooks.
type webhookCounts struct {
	mu        sync.Mutex
	attempts  map[string]uint64
	countedAt time.Time
	statuses  map[string]int64
	since     *time.Time // when the oldest change that waits was made
}

// count counts an attempt.
func (c *webhookCounts) count(outcome string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.attempts == nil {
		c.attempts = map[string]uint64{}
	}
	c.attempts[outcome]++
}

func (c *webhookCounts) stats(now time.Time) WebhookStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	stats := WebhookStats{
		Attempts: maps.Clone(c.attempts),
		Active:   c.statuses[WebhookActive], Failing: c.statuses[WebhookFailing], Disabled: c.statuses[WebhookDisabled],
	}
	if c.since != nil {
		stats.Lag = max(now.Sub(*c.since), 0)
	}
	return stats
}

// countWebhooks counts the webhooks, unless that was done within webhookCountInterval.
func (s *Store) countWebhooks(ctx context.Context) error {
	c := &s.webhookCounts
	c.mu.Lock()
	recent := time.Since(c.countedAt) < webhookCountInterval
	if !recent {
		c.countedAt = time.Now()
	}
	c.mu.Unlock()
	if recent {
		return nil
	}
	var rows []struct {
		Status string
		N      int64
	}
	var oldest []Webhook
	db := s.reader.WithContext(ctx)
	err := webhooks(db).Model(&Webhook{}).Select("status, count(*) AS n").Group("status").Find(&rows).Error
	if err == nil {
		waits := webhooks(db).Select("behind_since").Where("status <> 'disabled' AND behind_since IS NOT NULL")
		err = waits.Order("behind_since").Limit(1).Find(&oldest).Error
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.statuses, c.since = map[string]int64{}, nil
	for _, row := range rows {
		c.statuses[row.Status] = row.N
	}
	if len(oldest) > 0 {
		c.since = oldest[0].BehindSince
	}
	return nil
}
