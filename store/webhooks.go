package store

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/clientapps/clientapps/store/changefeed"
	"github.com/clientapps/clientapps/store/keyset"
	"github.com/clientapps/clientapps/store/tenant"
)

// The values of Webhook.Status.
const (
	WebhookActive   = "active"
	WebhookFailing  = "failing"  // since an attempt failed, until one succeeds
	WebhookDisabled = "disabled" // nothing is delivered, and the history that it has not got can be pruned
)

const (
	// maxWebhooks is how many webhooks one client may have, and how many there may be for all clients.
	maxWebhooks = 20
	// maxBehindCount is the highest value of Webhook.Behind.
	maxBehindCount = 1000
	// secretOverlap is how long the old secret of a webhook signs beside the new one.
	secretOverlap = 24 * time.Hour
	// webhookTestInterval is the shortest time between two tests of a webhook.
	webhookTestInterval = 10 * time.Second
)

// Webhook is a position in a change feed with an address. An idle one, which is neither disabled nor has a DueAt, has nothing to deliver
// before the position of webhookState: so it costs nothing.
type Webhook struct {
	ID             uuid.UUID
	ClientID       *uuid.UUID // nil: all clients
	URL            string
	Description    *string
	Fields         string // of changes, in order, separated by spaces; "": all
	Status         string
	LastError      *string // of the last attempt, or why it is disabled; for callers also Lost; never has an address
	Lost           *string // says that changes were pruned before they were delivered
	Secret         []byte  // encrypted by the caller
	PreviousSecret *[]byte // of before the last rotation, encrypted
	PreviousUntil  *time.Time
	CreatedBy      *uuid.UUID // the token that made it; nil: it was made without a token that is stored
	CreatedAt      time.Time  `gorm:"autoCreateTime:false"`
	UpdatedAt      time.Time  `gorm:"autoUpdateTime:false"` // by a caller
	Version        int64      // one more with each change by a caller

	Position int64  // that of Key
	Key      string // of the change feed: what is before it is delivered

	BatchID  *uuid.UUID // of the batch that is to be delivered next; nil: none is fixed
	Batch    *[]byte    // its bytes
	BatchKey *string    // the key behind it

	Failures     int        // attempts that failed since the last success
	FailingSince *time.Time // when the first of them failed, or when a caller made the webhook active after that
	DueAt        *time.Time // when to look next; nil: it is disabled or idle
	Marked       int64      // changes before this position may wait
	BehindSince  *time.Time // when the first change that waits was made, or found; nil: none waits
	LeaseOwner   *uuid.UUID // who works on it until LeaseUntil
	LeaseUntil   *time.Time
	TestedAt     *time.Time

	// Behind is how many changes wait, counted to 1,000. Methods for callers set it.
	Behind int `gorm:"-"`
}

// scope is which changes the webhook follows.
func (w *Webhook) scope() changeScope {
	return changeScope{client: w.ClientID, filter: ChangeFilter{Fields: strings.Fields(w.Fields)}}
}

// webhooks is the handle for statements on webhooks.
func webhooks(db *gorm.DB) *gorm.DB {
	return tenant.CrossTenant(db, "a webhook may follow all clients")
}

// visibleWebhooks selects the webhooks whose client the token covers; those of all clients only if it covers all. A nil token sees all.
func visibleWebhooks(db *gorm.DB, by *Token) *gorm.DB {
	if by == nil || by.AllClients {
		return webhooks(db)
	}
	return whereIn(webhooks(db), "client_id", append([]uuid.UUID{}, by.ClientIDs...))
}

// takeWebhook reads a webhook that q selects, without its batch, or fails with NotFoundError.
func takeWebhook(q *gorm.DB, id uuid.UUID) (Webhook, error) {
	rows := make([]Webhook, 0, 1)
	err := q.Omit("batch").Where("id = ?", id).Find(&rows).Error
	if err == nil && len(rows) == 0 {
		err = &NotFoundError{Kind: KindWebhook, ID: id}
	}
	if err != nil {
		return Webhook{}, err
	}
	return rows[0], nil
}

var webhookListing = listing[Webhook]{
	Keys: map[Column]sortKey[Webhook]{
		ColumnCreatedAt: keyset.TimeKey("created_at", func(w Webhook) time.Time { return w.CreatedAt }),
	},
	Find:            func(q *gorm.DB, rows *[]Webhook) error { return q.Omit("batch").Find(rows).Error },
	TieColumn:       "id",
	TieBreaker:      func(w Webhook) string { return w.ID.String() },
	ValidTieBreaker: keyset.IsID,
}

// ListWebhooks returns one page of the webhooks that by sees, of one client if clientID is not nil, sorted by ColumnCreatedAt.
func (s *Store) ListWebhooks(ctx context.Context, by *Token, clientID *uuid.UUID, p Page) (List[Webhook], error) {
	q := visibleWebhooks(s.reader, by)
	if clientID != nil {
		q = q.Where("client_id = ?", *clientID)
	}
	list, err := webhookListing.Page(ctx, q, p, nil)
	if err == nil {
		err = s.fillForCaller(ctx, list.Rows)
	}
	return list, s.translate("list webhooks", err)
}

// GetWebhook returns a webhook that by sees, or NotFoundError.
func (s *Store) GetWebhook(ctx context.Context, by *Token, id uuid.UUID) (Webhook, error) {
	w, err := takeWebhook(visibleWebhooks(s.reader.WithContext(ctx), by), id)
	if err == nil {
		rows := []Webhook{w}
		err = s.fillForCaller(ctx, rows)
		w = rows[0]
	}
	return w, s.translate("get webhook", err)
}

// fillForCaller sets what callers see of webhooks: how many changes wait, all in one snapshot, and that some were lost.
func (s *Store) fillForCaller(ctx context.Context, rows []Webhook) error {
	if len(rows) == 0 {
		return nil
	}
	ids := make([]uuid.UUID, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID
		if rows[i].LastError == nil {
			rows[i].LastError = rows[i].Lost
		}
	}
	err := s.readFeed(ctx, func(tx *gorm.DB, state changefeed.State) error {
		var marked webhookState
		var seen []Webhook // as the snapshot has them
		err := tx.Where("id = 1").Take(&marked).Error
		if err == nil {
			err = whereIn(webhooks(tx).Select("id, client_id, fields, status, key, due_at"), "id", ids).Find(&seen).Error
		}
		behind := make(map[uuid.UUID]int, len(rows))
		for i := range seen {
			if err == nil {
				behind[seen[i].ID], err = s.countBehind(tx, state, &seen[i], marked.Position)
			}
		}
		for i := range rows {
			rows[i].Behind = behind[rows[i].ID]
		}
		return err
	})
	if errors.Is(err, changefeed.ErrDistributed) {
		return nil // nothing is ever delivered
	}
	return err
}

// countBehind returns Webhook.Behind.
func (s *Store) countBehind(tx *gorm.DB, state changefeed.State, w *Webhook, marked int64) (int, error) {
	after, err := changefeed.Parse(w.Key)
	if idle := w.DueAt == nil && w.Status != WebhookDisabled; idle && after.Position < marked {
		after = changefeed.Before(marked)
	}
	if err != nil {
		return 0, err
	}
	state.Horizon = state.End // also what waits for an older transaction
	q, _, err := s.changesAfter(tx, state, w.scope(), after, 0)
	if err != nil {
		return 0, err
	}
	if w.ClientID == nil { // otherwise in no order, so that the database may also read all that the client has
		q = q.Order(changeOrder)
	}
	var rows []AppChange
	err = q.Select(changeOrder).Limit(maxBehindCount).Find(&rows).Error
	return len(rows), err
}

// fillAfterWrite is fillForCaller for a webhook that a caller has just written. It only logs a failure: the webhook was written.
func (s *Store) fillAfterWrite(ctx context.Context, w Webhook) Webhook {
	rows := []Webhook{w}
	if err := s.fillForCaller(ctx, rows); err != nil {
		s.log.Warn("count what a webhook has not delivered", "webhook_id", w.ID, "error", err)
	}
	return rows[0]
}

// sortedFields returns names of fields in order, each once.
func sortedFields(text string) string {
	fields := strings.Fields(text)
	slices.Sort(fields)
	return strings.Join(slices.Compact(fields), " ")
}

// inWebhookTx runs work in a transaction that holds webhook_state, with the state of the feed. Meanwhile no other such transaction runs,
// nothing is marked, and the history is not pruned.
func (s *Store) inWebhookTx(ctx context.Context, probe commitProbe, work func(tx *gorm.DB, feed changefeed.State) error) error {
	return s.withIncarnation(ctx, func() error {
		return s.inTx(ctx, webhookShare, probe, func(tx *gorm.DB) error {
			if _, err := lockWebhookState(tx); err != nil {
				return err
			}
			feed, err := changefeed.Read(tx, s.db)
			if err == nil && !feed.HasIncarnation() {
				err = errNewIncarnation
			}
			if err != nil {
				return err
			}
			return work(tx, feed)
		})
	})
}

// feedKey returns the key at which a webhook begins: ErrCursorExpired or ErrPosition if there is none.
func (s *Store) feedKey(tx *gorm.DB, feed changefeed.State, from ChangeStart) (key changefeed.Key, err error) {
	switch {
	case from.After != nil:
		if key, err = parseChangePosition(from.After); err == nil && positionExpired(feed, from.After, key) {
			err = ErrCursorExpired
		}
	case from.Since != nil:
		key, err = s.keySince(tx, feed, *from.Since)
	}
	if key.Position < feed.PrunedPosition {
		key = changefeed.Before(feed.PrunedPosition)
	}
	return key, err
}

// CreateWebhook adds a webhook with the ID, or a new one if that is zero, and the ClientID, URL, Description, Fields and Secret of w. It
// begins at the end of the feed, or with the changes since a time and perhaps some earlier ones.
//
// Errors are ReferenceError for the client, WebhookLimitError, ErrCursorExpired for a time before what is kept, and ErrUnknownToken when by
// has ended. A token of an identity provider is in no table: the webhook that it makes has no CreatedBy, and outlives it.
func (s *Store) CreateWebhook(ctx context.Context, by *Token, w Webhook, since *time.Time) (Webhook, error) {
	now := s.now()
	created := Webhook{
		ID: w.ID, ClientID: w.ClientID, URL: w.URL, Description: w.Description, Fields: sortedFields(w.Fields), Status: WebhookActive,
		Secret: w.Secret, CreatedAt: now, UpdatedAt: now, Version: 1,
	}
	if created.ID == uuid.Nil {
		created.ID = uuid.New()
	}
	locked := by
	if by != nil && by.FromProvider {
		locked = nil
	}
	if locked != nil {
		created.CreatedBy = &locked.ID
	}
	err := s.inWebhookTx(ctx, webhookExists(created.ID, true), func(tx *gorm.DB, feed changefeed.State) error {
		if _, err := s.lockTokens(tx, locked); err != nil {
			return err
		}
		if err := checkWebhookLimit(tx, created.ClientID); err != nil {
			return err
		}
		key := changefeed.Before(feed.Horizon)
		if since != nil {
			var err error
			if key, err = s.feedKey(tx, feed, ChangeStart{Since: since}); err != nil {
				return err
			}
			created.DueAt = &now
		}
		created.Position, created.Key = key.Position, key.String()
		if err := resumeMarking(tx, feed.Horizon); err != nil {
			return err
		}
		if err := webhooks(tx).Create(&created).Error; err != nil || created.ClientID == nil {
			return err
		}
		// With a row of webhooks written: whoever erases a client waits for this transaction.
		err := checkClients(tx, []uuid.UUID{*created.ClientID})
		if unknown := (*ReferenceError)(nil); errors.As(err, &unknown) {
			return &ReferenceError{Field: string(ColumnClientID)}
		}
		return err
	})
	if err != nil {
		s.forgetIfEnded(locked, err)
		return Webhook{}, s.translate("create webhook", err)
	}
	return s.fillAfterWrite(ctx, created), nil
}

// checkWebhookLimit returns WebhookLimitError if there may be no other webhook of the client, or of all clients. webhook_state is locked.
func checkWebhookLimit(tx *gorm.DB, client *uuid.UUID) error {
	q := webhooks(tx).Model(&Webhook{})
	if client != nil {
		q = q.Where("client_id = ?", *client)
	} else {
		q = q.Where("client_id IS NULL")
	}
	var n int64
	err := q.Count(&n).Error
	if err == nil && n >= maxWebhooks {
		err = &WebhookLimitError{ClientID: client, Limit: maxWebhooks}
	}
	return err
}

// webhookExists is the probe of a transaction after which the webhook exists, or does not, as wanted.
func webhookExists(id uuid.UUID, want bool) commitProbe {
	return func(db *gorm.DB) (bool, error) {
		var n int64
		err := webhooks(db).Model(&Webhook{}).Where("id = ?", id).Count(&n).Error
		return (n > 0) == want, err
	}
}

// changeWebhook sets the columns that change returns for a webhook that by sees and whose row is locked. If there are none, nothing is
// written. feed is set only with withFeed.
func (s *Store) changeWebhook(
	ctx context.Context, by *Token, id uuid.UUID, withFeed bool,
	change func(tx *gorm.DB, feed changefeed.State, w Webhook) (map[string]any, error),
) (Webhook, error) {
	var old, w Webhook
	now := s.now()
	committed := func(db *gorm.DB) (bool, error) {
		row, err := takeWebhook(webhooks(db), id)
		switch {
		case err == nil && row.Version == old.Version:
			return false, nil
		case err == nil && row.Version == w.Version && row.UpdatedAt.Equal(w.UpdatedAt):
			return true, nil
		case unavailable(err):
			return false, err
		}
		return false, errCannotTell
	}
	work := func(tx *gorm.DB, feed changefeed.State) (err error) {
		if old, err = takeWebhook(visibleWebhooks(tx.Clauses(forNoKeyUpdate), by), id); err != nil {
			return err
		}
		set, err := change(tx, feed, old)
		if w = old; err != nil || len(set) == 0 {
			return err
		}
		set["version"], set["updated_at"] = old.Version+1, maxTime(now, old.UpdatedAt)
		if err := webhooks(tx).Model(&Webhook{}).Where("id = ?", id).Updates(set).Error; err != nil {
			return err
		}
		w, err = takeWebhook(webhooks(tx), id)
		return err
	}
	var err error
	if withFeed {
		err = s.inWebhookTx(ctx, committed, work)
	} else {
		err = s.inTx(ctx, webhookShare, committed, func(tx *gorm.DB) error { return work(tx, changefeed.State{}) })
	}
	if err != nil {
		return Webhook{}, err
	}
	return s.fillAfterWrite(ctx, w), nil
}

// UpdateWebhook sets ColumnURL, ColumnDescription, ColumnFields and ColumnStatus, which becomes WebhookActive or WebhookDisabled. A patch
// that changes nothing writes nothing. But WebhookActive makes a webhook that fails try at once, and gives it as much time as if it had
// begun to fail now. Other fields apply to changes that are not in a batch yet, and another URL to the next attempt.
//
// Errors are NotFoundError and WebhookPrunedError.
func (s *Store) UpdateWebhook(ctx context.Context, by *Token, id uuid.UUID, fields Fields) (Webhook, error) {
	activates := fields[ColumnStatus] == WebhookActive
	w, err := s.changeWebhook(ctx, by, id, activates, func(tx *gorm.DB, feed changefeed.State, w Webhook) (map[string]any, error) {
		set := map[string]any{}
		have := Fields{ColumnURL: w.URL, ColumnDescription: orNil(w.Description), ColumnFields: w.Fields}
		for column, value := range have {
			given, ok := fields[column]
			if text, is := given.(string); is && column == ColumnFields {
				given = sortedFields(text)
			}
			if ok && given != value {
				set[string(column)] = given
			}
		}
		switch {
		case activates:
			return set, s.activate(tx, feed, w, set)
		case fields[ColumnStatus] == WebhookDisabled && w.Status != WebhookDisabled:
			return set, disable(tx, set)
		}
		return set, nil
	})
	return w, s.translate("update webhook", err)
}

// activate sets the columns that change when a caller makes a webhook active.
func (s *Store) activate(tx *gorm.DB, feed changefeed.State, w Webhook, set map[string]any) error {
	if w.Lost != nil {
		set["lost"] = nil
	}
	if w.Status == WebhookActive {
		return nil
	}
	set["due_at"], set["failures"] = s.now(), 0
	if w.Status == WebhookFailing { // until an attempt succeeds
		set["failing_since"] = s.now()
		return nil
	}
	next := w.Key
	if w.BatchKey != nil {
		next = *w.BatchKey
	}
	key, err := changefeed.Parse(next)
	if err == nil && key.Position < feed.PrunedPosition {
		err = &WebhookPrunedError{ID: w.ID}
	}
	if err != nil {
		return err
	}
	set["status"], set["failing_since"], set["last_error"] = WebhookActive, nil, nil
	return resumeMarking(tx, feed.Horizon)
}

// disable sets the columns that change when webhooks are disabled. Nothing is marked for them from then on: those that are idle are moved to
// what is marked.
func disable(tx *gorm.DB, set map[string]any) error {
	var marked webhookState
	err := tx.Where("id = 1").Take(&marked).Error
	const idle = "CASE WHEN due_at IS NULL AND status <> 'disabled' AND position < ? THEN ? ELSE "
	set["position"] = gorm.Expr(idle+"position END", marked.Position, marked.Position)
	set["key"] = gorm.Expr(idle+"key END", marked.Position, changefeed.Before(marked.Position).String())
	set["status"], set["due_at"], set["lease_owner"], set["lease_until"] = WebhookDisabled, nil, nil, nil
	return err
}

// disableCreatedBy disables the webhooks that tokens have made which are revoked.
func (s *Store) disableCreatedBy(tx *gorm.DB, tokens []uuid.UUID) error {
	set := map[string]any{
		"last_error": "The token that made this webhook was revoked",
		"version":    gorm.Expr("version + 1"), "updated_at": s.monotonicUpdatedAt(s.now()),
	}
	if err := disable(tx, set); err != nil {
		return err
	}
	return whereIn(webhooks(tx).Model(&Webhook{}), "created_by", tokens).Where("status <> 'disabled'").Updates(set).Error
}

// allCreatedByDisabled reports whether all webhooks that the tokens have made are disabled.
func allCreatedByDisabled(db *gorm.DB, tokens []uuid.UUID) (bool, error) {
	var n int64
	err := whereIn(webhooks(db).Model(&Webhook{}), "created_by", tokens).Where("status <> 'disabled'").Count(&n).Error
	return n == 0, err
}

// DeleteWebhook deletes a webhook that by sees, with its deliveries, or fails with NotFoundError.
func (s *Store) DeleteWebhook(ctx context.Context, by *Token, id uuid.UUID) error {
	err := s.inTx(ctx, webhookShare, webhookExists(id, false), func(tx *gorm.DB) error {
		res := visibleWebhooks(tx, by).Where("id = ?", id).Delete(&Webhook{})
		if res.Error == nil && res.RowsAffected == 0 {
			return &NotFoundError{Kind: KindWebhook, ID: id}
		}
		return res.Error
	})
	return s.translate("delete webhook", err)
}

// RotateWebhookSecret gives a webhook another secret, encrypted by the caller. The one that it has becomes PreviousSecret for 24 hours.
func (s *Store) RotateWebhookSecret(ctx context.Context, by *Token, id uuid.UUID, secret []byte) (Webhook, error) {
	w, err := s.changeWebhook(ctx, by, id, false, func(_ *gorm.DB, _ changefeed.State, w Webhook) (map[string]any, error) {
		if bytes.Equal(w.Secret, secret) {
			return nil, nil
		}
		return map[string]any{"secret": secret, "previous_secret": w.Secret, "previous_until": s.now().Add(secretOverlap)}, nil
	})
	return w, s.translate("rotate the secret of a webhook", err)
}

// ReplayWebhook moves a webhook to another place of the feed. A batch that is fixed is given up: what it has is delivered, if it is behind
// that place, with new ids. Errors are NotFoundError, ErrCursorExpired and ErrPosition.
func (s *Store) ReplayWebhook(ctx context.Context, by *Token, id uuid.UUID, from ChangeStart) (Webhook, error) {
	w, err := s.changeWebhook(ctx, by, id, true, func(tx *gorm.DB, feed changefeed.State, w Webhook) (map[string]any, error) {
		key, err := s.feedKey(tx, feed, from)
		set := map[string]any{
			"position": key.Position, "key": key.String(), "batch_id": nil, "batch": nil, "batch_key": nil, "lost": nil,
		}
		if w.Status != WebhookDisabled {
			set["due_at"] = s.now()
		}
		return set, err
	})
	return w, s.translate("replay webhook", err)
}

// BeginWebhookTest returns a webhook that by sees and that nobody has tested for ten seconds. Errors are NotFoundError and TooSoonError.
func (s *Store) BeginWebhookTest(ctx context.Context, by *Token, id uuid.UUID) (w Webhook, err error) {
	now := s.now()
	committed := func(db *gorm.DB) (bool, error) {
		row, err := takeWebhook(webhooks(db), id)
		return err == nil && row.TestedAt != nil && row.TestedAt.Equal(now), err
	}
	err = s.inTx(ctx, webhookShare, committed, func(tx *gorm.DB) error {
		if w, err = takeWebhook(visibleWebhooks(tx.Clauses(forNoKeyUpdate), by), id); err != nil {
			return err
		}
		if w.TestedAt != nil {
			// A time that is far ahead is of a clock that was wrong.
			if wait := w.TestedAt.Add(webhookTestInterval).Sub(now); wait > 0 && wait <= 2*webhookTestInterval {
				return &TooSoonError{RetryAfter: wait}
			}
		}
		w.TestedAt = &now
		return webhooks(tx).Model(&Webhook{}).Where("id = ?", id).Updates(map[string]any{"tested_at": now}).Error
	})
	return w, s.translate("test webhook", err)
}

// RecordWebhookTest keeps an attempt that was a test. If the webhook was deleted meanwhile there is nothing to keep.
func (s *Store) RecordWebhookTest(ctx context.Context, attempt WebhookAttempt) error {
	if attempt.ID == uuid.Nil {
		attempt.ID = uuid.New()
	}
	err := s.inTx(ctx, webhookShare, attemptKept(&attempt), func(tx *gorm.DB) error { return tx.Create(&attempt).Error })
	if foreignKeyViolation(err) {
		err = nil
	}
	s.webhookCounts.count(attempt.Outcome)
	return s.translate("record the test of a webhook", err)
}

var attemptListing = listing[WebhookAttempt]{
	Keys: map[Column]sortKey[WebhookAttempt]{
		ColumnAttemptedAt: keyset.TimeKey("attempted_at", func(a WebhookAttempt) time.Time { return a.AttemptedAt }),
	},
	TieColumn:       "id",
	TieBreaker:      func(a WebhookAttempt) string { return a.ID.String() },
	ValidTieBreaker: keyset.IsID,
}

// ListWebhookDeliveries returns one page of the attempts of the last three days to deliver to a webhook that by sees, newest first; the
// page's order is set here. NotFoundError if there is no such webhook.
func (s *Store) ListWebhookDeliveries(ctx context.Context, by *Token, id uuid.UUID, p Page) (List[WebhookAttempt], error) {
	p.SortBy, p.Desc = ColumnAttemptedAt, true
	_, err := takeWebhook(visibleWebhooks(s.reader.WithContext(ctx), by).Select("id"), id)
	var list List[WebhookAttempt]
	if err == nil {
		q := s.reader.Where("webhook_id = ? AND attempted_at >= ?", id, s.now().Add(-attemptRetention))
		list, err = attemptListing.Page(ctx, q, p, nil)
	}
	return list, s.translate("list deliveries of a webhook", err)
}
