package webhook

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/retry"
	"github.com/clientapps/clientapps/webhook/egress"
)

const (
	// lease is how long a webhook stays claimed after the last write of the server that has it. It is longer than an attempt, by as much as
	// the clocks of servers may differ. When a server dies, another one claims its webhooks after this time.
	lease = 20 * time.Second
	// maxTurn is how long a webhook keeps its slot while it has more to deliver. Then others get the slot.
	maxTurn = 15 * time.Second
	// batchSize is how many changes a delivery has at most, and pageSize how many are read at once.
	batchSize = 100
	pageSize  = 500
	// pruneInterval is how often old deliveries are deleted.
	pruneInterval = time.Minute
)

// Config configures a worker.
type Config struct {
	Keys          Keys           // for the secrets; without one there are no webhooks
	AllowLoopback bool           // deliver to loopback addresses, at any port and without TLS, too: for trials
	PollInterval  time.Duration  // between two checks for new changes. Default 500 ms
	Timeout       time.Duration  // of an attempt. Default 10 s
	MaxDeliveries int            // in flight, at most half of them to webhooks that fail. Default 128
	Resolver      *net.Resolver  // default: that of the system
	RootCAs       *x509.CertPool // default: those of the system
}

// Encode returns the body of a delivery, which the contract defines.
type Encode func(client uuid.UUID, at time.Time, changes []store.AppChange) ([]byte, error)

// Worker delivers to each webhook the changes that it has not received yet. Several servers with one database share the webhooks.
type Worker struct {
	cfg      Config
	store    *store.Store
	log      *slog.Logger
	clock    func() time.Time
	encode   Encode
	sender   *Sender
	schedule Schedule
	id       uuid.UUID // of the leases of this server

	deliveries sync.WaitGroup
	mu         sync.Mutex
	inFlight   map[string]int // claimed webhooks, by the status that they were claimed with
}

// New returns a worker. The clock must be that of the store.
func New(cfg Config, s *store.Store, log *slog.Logger, clock func() time.Time, encode Encode) *Worker {
	if cfg.PollInterval <= 0 {
		cfg.PollInterval = 500 * time.Millisecond
	}
	if cfg.MaxDeliveries <= 0 {
		cfg.MaxDeliveries = 128
	}
	sender := NewSender(SenderConfig{
		Policy:  egress.Policy{AllowLoopback: cfg.AllowLoopback, Resolver: cfg.Resolver, RootCAs: cfg.RootCAs},
		Timeout: cfg.Timeout, Clock: clock,
	})
	return &Worker{cfg: cfg, store: s, log: log, clock: clock, encode: encode, sender: sender, id: uuid.New(), inFlight: map[string]int{}}
}

// Enabled reports whether there is a key, without which there are no webhooks.
func (w *Worker) Enabled() bool { return w.cfg.Keys.Enabled() }

// CheckURL returns an error unless webhooks may deliver to this URL.
func (w *Worker) CheckURL(url string) error { return egress.CheckURL(url, w.cfg.AllowLoopback) }

// Seal encrypts a secret for the webhook with this id.
func (w *Worker) Seal(id uuid.UUID, secret []byte) ([]byte, error) {
	return w.cfg.Keys.Seal(id, secret)
}

// Run delivers until ctx ends, and then waits for the attempts in flight. It does nothing without a key.
func (w *Worker) Run(ctx context.Context) {
	if !w.Enabled() {
		return
	}
	defer w.sender.Close()
	defer w.deliveries.Wait()
	w.reencrypt(ctx)
	var prunedAt time.Time
	failed := false // the last round; only the first failure in a row is logged
	for ; ctx.Err() == nil; retry.Sleep(ctx, w.cfg.PollInterval) {
		enabled, err := w.store.MarkWebhooks(ctx)
		if err == nil && enabled {
			err = w.claim(ctx)
		}
		if now := w.clock(); err == nil && now.Sub(prunedAt) >= pruneInterval {
			var more bool
			if more, err = w.store.PruneWebhookDeliveries(ctx); !more {
				prunedAt = now
			}
		}
		if err != nil && ctx.Err() == nil && !failed {
			w.log.Warn("look for what webhooks have to deliver", "error", err)
		}
		failed = err != nil
	}
}

// reencrypt encrypts the secrets with the first key that were encrypted with another one, so that the other key can be removed.
func (w *Worker) reencrypt(ctx context.Context) {
	n, err := w.store.ReencryptWebhookSecrets(ctx, w.reseal)
	if err != nil && ctx.Err() == nil {
		w.log.Warn("encrypt the secrets of webhooks with the first key", "error", err)
	}
	if n > 0 {
		w.log.Info("encrypted the secrets of webhooks with the first key", "webhooks", n)
	}
}

// reseal is Keys.Reseal, but leaves a secret that cannot be read as it is: the others must not wait for it.
func (w *Worker) reseal(id uuid.UUID, sealed []byte) (resealed []byte, changed bool, err error) {
	if resealed, changed, err = w.cfg.Keys.Reseal(id, sealed); err != nil {
		w.log.Error("the secret of a webhook cannot be read", "webhook_id", id, "error", err)
	}
	return resealed, changed, nil
}

// claim claims webhooks that are due and begins to deliver to them. A failing webhook may keep its slot for ten seconds until it fails
// again, so failing ones get at most half of the slots.
func (w *Worker) claim(ctx context.Context) error {
	for _, status := range []string{store.WebhookActive, store.WebhookFailing} {
		slots := w.freeSlots(status)
		if slots <= 0 {
			continue
		}
		claimed, err := w.store.ClaimWebhooks(ctx, w.id, status, slots, lease)
		if err != nil {
			return err
		}
		w.addInFlight(status, len(claimed))
		for i := range claimed {
			w.deliveries.Go(func() {
				defer w.addInFlight(status, -1)
				w.deliver(ctx, &claimed[i])
			})
		}
	}
	return nil
}

// freeSlots returns how many webhooks of a status may be claimed.
func (w *Worker) freeSlots(status string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	free := w.cfg.MaxDeliveries - w.inFlight[store.WebhookActive] - w.inFlight[store.WebhookFailing]
	if status == store.WebhookFailing {
		free = min(free, w.cfg.MaxDeliveries/2-w.inFlight[status])
	}
	return free
}

func (w *Worker) addInFlight(status string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inFlight[status] += n
}

// deliver delivers to one webhook until there is nothing more to deliver, an attempt fails, maxTurn is over or stopping ends.
func (w *Worker) deliver(stopping context.Context, hook *store.Webhook) {
	ctx := context.WithoutCancel(stopping) // an attempt that has begun ends by itself
	began, page := w.clock(), &store.UndeliveredChanges{}
	for stopping.Err() == nil && w.clock().Sub(began) < maxTurn {
		more, err := w.deliverNext(ctx, hook, page)
		switch {
		case errors.Is(err, store.ErrWebhookChanged): // by a caller, or by a server that took it over
			more = false
		case err != nil:
			w.log.Warn("deliver to webhook", "webhook_id", hook.ID, "error", err)
			more = false
		}
		if !more {
			break
		}
	}
	if err := w.store.ReleaseWebhook(ctx, hook, nil); err != nil && !errors.Is(err, store.ErrWebhookChanged) {
		w.log.Debug("release webhook", "webhook_id", hook.ID, "error", err)
	}
}

// deliverNext makes one attempt. more reports whether to go on at once. page has changes that were read before.
func (w *Worker) deliverNext(ctx context.Context, hook *store.Webhook, page *store.UndeliveredChanges) (more bool, err error) {
	if hook.BatchID == nil {
		if saved, err := w.saveNextBatch(ctx, hook, page); !saved || err != nil {
			return false, err
		}
	}
	at := w.clock()
	result := w.send(ctx, hook, *hook.BatchID, *hook.Batch)
	attempt := toAttempt(hook.ID, *hook.BatchID, "app.changed", at, result)
	if attempt.Error == nil {
		return true, w.finish(ctx, hook, attempt, page)
	}
	w.log.Info("delivery failed", "webhook_id", hook.ID, "delivery_id", attempt.DeliveryID, "error", *attempt.Error, "failures", hook.Failures+1)
	return false, w.store.FinishWebhookAttempt(ctx, hook, attempt, w.afterFailure(hook, result), lease)
}

// finish records a success, and saves the next batch with it if its changes have been read.
func (w *Worker) finish(ctx context.Context, hook *store.Webhook, attempt store.WebhookAttempt, page *store.UndeliveredChanges) error {
	var next store.WebhookNext
	if len(page.Rows) > 0 {
		batch, err := w.nextBatch(page)
		if err != nil {
			return err
		}
		next.Batch = &batch
	}
	err := w.store.FinishWebhookAttempt(ctx, hook, attempt, next, lease)
	if hook.BatchID == nil { // a caller has changed the webhook, which may now follow other changes
		page.Rows = nil
	}
	return err
}

// afterFailure returns what follows a failed attempt.
func (w *Worker) afterFailure(hook *store.Webhook, r Result) store.WebhookNext {
	if r.Outcome == Gone {
		return store.WebhookNext{Disable: "The receiver answered 410: it wants no more"}
	}
	now := w.clock()
	firstFailure := now
	if hook.FailingSince != nil {
		firstFailure = *hook.FailingSince
	}
	at, ok := w.schedule.Next(hook.Failures+1, firstFailure, now, r.RetryAfter)
	if !ok {
		return store.WebhookNext{Disable: "It failed for three days. " + r.Error}
	}
	return store.WebhookNext{DueAt: at}
}

// saveNextBatch saves the next batch, which is then the same in each attempt. It returns false, and releases the webhook, if there is
// nothing to deliver.
func (w *Worker) saveNextBatch(ctx context.Context, hook *store.Webhook, page *store.UndeliveredChanges) (saved bool, err error) {
	if len(page.Rows) == 0 {
		if *page, err = w.store.ReadWebhook(ctx, hook, pageSize); err != nil {
			return false, err
		}
	}
	if len(page.Rows) == 0 {
		return false, w.store.ReleaseWebhook(ctx, hook, page)
	}
	batch, err := w.nextBatch(page)
	if err != nil {
		return false, err
	}
	return true, w.store.KeepWebhookBatch(ctx, hook, batch, lease)
}

// nextBatch removes the first changes of a page that are of one client, and makes a batch of them.
func (w *Worker) nextBatch(page *store.UndeliveredChanges) (store.WebhookBatch, error) {
	n, first := 1, page.Rows[0]
	for n < len(page.Rows) && n < batchSize && page.Rows[n].ClientID == first.ClientID {
		n++
	}
	body, err := w.encode(first.ClientID, w.clock(), page.Rows[:n])
	if err != nil {
		return store.WebhookBatch{}, err
	}
	batch := store.WebhookBatch{ID: uuid.New(), Body: body, Key: page.KeyAfter(n - 1), FirstChangedAt: first.ChangedAt}
	page.Rows = page.Rows[n:]
	return batch, nil
}

// Test delivers a ping and records its result. ping returns its body, which the contract defines.
func (w *Worker) Test(ctx context.Context, hook *store.Webhook, ping func(webhook uuid.UUID, at time.Time) ([]byte, error)) (store.WebhookAttempt, error) {
	at, id := w.clock(), uuid.New()
	body, err := ping(hook.ID, at)
	if err != nil {
		return store.WebhookAttempt{}, err
	}
	attempt := toAttempt(hook.ID, id, "ping", at, w.send(ctx, hook, id, body))
	return attempt, w.store.RecordWebhookTest(ctx, attempt)
}

// send signs and sends a body once.
func (w *Worker) send(ctx context.Context, hook *store.Webhook, id uuid.UUID, body []byte) Result {
	secrets, err := w.secrets(hook)
	if err != nil {
		w.log.Error("the secret of a webhook cannot be read", "webhook_id", hook.ID, "error", err)
		return failure(Secret, errorSecret)
	}
	return w.sender.Send(ctx, Message{URL: hook.URL, ID: id.String(), Body: body, Secrets: secrets})
}

// secrets returns the secrets that sign now.
func (w *Worker) secrets(hook *store.Webhook) ([][]byte, error) {
	secret, err := w.cfg.Keys.Open(hook.ID, hook.Secret)
	if err != nil {
		return nil, err
	}
	all := [][]byte{secret}
	if hook.PreviousSecret != nil && w.clock().Before(*hook.PreviousUntil) {
		previous, err := w.cfg.Keys.Open(hook.ID, *hook.PreviousSecret)
		if err != nil {
			return nil, err
		}
		all = append(all, previous)
	}
	return all, nil
}

func toAttempt(webhook, delivery uuid.UUID, kind string, at time.Time, r Result) store.WebhookAttempt {
	attempt := store.WebhookAttempt{
		ID: uuid.New(), WebhookID: webhook, DeliveryID: delivery, Type: kind, AttemptedAt: at.UTC().Truncate(time.Millisecond),
		DurationMS: int32(min(r.Duration.Milliseconds(), int64(time.Hour/time.Millisecond))), //nolint:gosec // bounded by min
		Outcome:    string(r.Outcome),
	}
	if r.Status != 0 {
		status := int32(r.Status) //nolint:gosec // three digits
		attempt.Status = &status
	}
	if r.Outcome != Success {
		attempt.Error = &r.Error
	}
	return attempt
}
