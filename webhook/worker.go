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
	// lease is for how long a server may work on a webhook without a word to the database. It is longer than an attempt takes, by what
	// the clocks of servers may differ. When a server dies, another takes its webhooks over after that.
	lease = 20 * time.Second
	// turn is after how long a webhook that has more to deliver lets others have its place.
	turn = 15 * time.Second
	// batchSize is how many changes a delivery has at most, and pageSize how many are read at once.
	batchSize = 100
	pageSize  = 500
	// housekeeping is how often what is too old is deleted.
	housekeeping = time.Minute
)

// Config configures a worker.
type Config struct {
	Keys          Keys           // for the secrets; without one there are no webhooks
	AllowLoopback bool           // deliver to loopback addresses, at any port and without TLS, too: for trials
	Poll          time.Duration  // between two looks at what is new. Default 500 ms
	Timeout       time.Duration  // of an attempt. Default 10 s
	MaxDeliveries int            // under way at once, at most half of them to webhooks that fail. Default 128
	Resolver      *net.Resolver  // default: that of the system
	RootCAs       *x509.CertPool // default: those of the system
}

// Encode returns the body of a delivery, which the contract defines.
type Encode func(client uuid.UUID, at time.Time, changes []store.AppChange) ([]byte, error)

// Worker delivers what webhooks are behind. Several servers with one database share the webhooks.
type Worker struct {
	cfg    Config
	store  *store.Store
	log    *slog.Logger
	clock  func() time.Time
	encode Encode
	sender *Sender
	retry  Schedule
	id     uuid.UUID // of the leases of this server

	done  sync.WaitGroup
	mu    sync.Mutex
	under map[string]int // webhooks that are worked on, by the status that they were claimed with
}

// New returns a worker. The clock must be that of the store.
func New(cfg Config, s *store.Store, log *slog.Logger, clock func() time.Time, encode Encode) *Worker {
	if cfg.Poll <= 0 {
		cfg.Poll = 500 * time.Millisecond
	}
	if cfg.MaxDeliveries <= 0 {
		cfg.MaxDeliveries = 128
	}
	sender := NewSender(SenderConfig{
		Policy:  egress.Policy{AllowLoopback: cfg.AllowLoopback, Resolver: cfg.Resolver, RootCAs: cfg.RootCAs},
		Timeout: cfg.Timeout, Clock: clock,
	})
	return &Worker{cfg: cfg, store: s, log: log, clock: clock, encode: encode, sender: sender, id: uuid.New(), under: map[string]int{}}
}

// On reports whether there is a key, without which there are no webhooks.
func (w *Worker) On() bool { return w.cfg.Keys.On() }

// CheckURL returns an error unless webhooks may deliver to this URL.
func (w *Worker) CheckURL(url string) error { return egress.CheckURL(url, w.cfg.AllowLoopback) }

// Seal encrypts a secret for the webhook with this id.
func (w *Worker) Seal(id uuid.UUID, secret []byte) ([]byte, error) {
	return w.cfg.Keys.Seal(id, secret)
}

// Run delivers until ctx ends, and then waits for the attempts that are under way. It does nothing without a key.
func (w *Worker) Run(ctx context.Context) {
	if !w.On() {
		return
	}
	defer w.sender.Close()
	defer w.done.Wait()
	w.reencrypt(ctx)
	var cleaned time.Time
	away := false // the database: it is logged once
	for ; ctx.Err() == nil; retry.Sleep(ctx, w.cfg.Poll) {
		some, err := w.store.MarkWebhooks(ctx)
		if err == nil && some {
			err = w.claim(ctx)
		}
		if now := w.clock(); err == nil && now.Sub(cleaned) >= housekeeping {
			var more bool
			if more, err = w.store.PruneWebhookDeliveries(ctx); !more {
				cleaned = now
			}
		}
		if err != nil && ctx.Err() == nil && !away {
			w.log.Warn("look for what webhooks have to deliver", "error", err)
		}
		away = err != nil
	}
}

// reencrypt encrypts secrets anew that were encrypted with a key that is not the first, so that the key can go.
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
func (w *Worker) reseal(id uuid.UUID, sealed []byte) (again []byte, changed bool, err error) {
	if again, changed, err = w.cfg.Keys.Reseal(id, sealed); err != nil {
		w.log.Error("the secret of a webhook cannot be read", "webhook_id", id, "error", err)
	}
	return again, changed, nil
}

// claim takes webhooks that are due and works on each until it has nothing to deliver, or fails. A webhook that fails may take ten seconds
// to do so: those never take the places of the others.
func (w *Worker) claim(ctx context.Context) error {
	for _, status := range []string{store.WebhookActive, store.WebhookFailing} {
		places := w.places(status)
		if places <= 0 {
			continue
		}
		claimed, err := w.store.ClaimWebhooks(ctx, w.id, status, places, lease)
		if err != nil {
			return err
		}
		w.add(status, len(claimed))
		for i := range claimed {
			w.done.Go(func() {
				defer w.add(status, -1)
				w.work(ctx, &claimed[i])
			})
		}
	}
	return nil
}

// places returns how many webhooks of a status may be claimed.
func (w *Worker) places(status string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	free := w.cfg.MaxDeliveries - w.under[store.WebhookActive] - w.under[store.WebhookFailing]
	if status == store.WebhookFailing {
		free = min(free, w.cfg.MaxDeliveries/2-w.under[status])
	}
	return free
}

func (w *Worker) add(status string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.under[status] += n
}

// work delivers what one webhook is behind, until there is no more, an attempt fails, its turn is over or stopping ends.
func (w *Worker) work(stopping context.Context, hook *store.Webhook) {
	ctx := context.WithoutCancel(stopping) // an attempt that has begun ends by itself
	began, page := w.clock(), &store.WebhookNews{}
	for stopping.Err() == nil && w.clock().Sub(began) < turn {
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

// deliverNext makes one attempt. It returns whether to go on at once. page has what was read before.
func (w *Worker) deliverNext(ctx context.Context, hook *store.Webhook, page *store.WebhookNews) (more bool, err error) {
	if hook.BatchID == nil {
		if kept, err := w.keepNext(ctx, hook, page); !kept || err != nil {
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

// finish records a success, and fixes the next batch with it if that has been read.
func (w *Worker) finish(ctx context.Context, hook *store.Webhook, attempt store.WebhookAttempt, page *store.WebhookNews) error {
	var next store.WebhookNext
	if len(page.Rows) > 0 {
		batch, err := w.nextBatch(page)
		if err != nil {
			return err
		}
		next.Batch = &batch
	}
	err := w.store.FinishWebhookAttempt(ctx, hook, attempt, next, lease)
	if hook.BatchID == nil { // a caller has changed the webhook: what it follows is read anew
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
	first := now
	if hook.FailingSince != nil {
		first = *hook.FailingSince
	}
	at, ok := w.retry.Next(hook.Failures+1, first, now, r.RetryAfter)
	if !ok {
		return store.WebhookNext{Disable: "It failed for three days. " + r.Error}
	}
	return store.WebhookNext{DueAt: at}
}

// keepNext fixes the next batch. It returns false when there is nothing to deliver, and the webhook is released.
func (w *Worker) keepNext(ctx context.Context, hook *store.Webhook, page *store.WebhookNews) (kept bool, err error) {
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

// nextBatch takes the first changes of a page that are of one client.
func (w *Worker) nextBatch(page *store.WebhookNews) (store.WebhookBatch, error) {
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

// Test delivers a ping and records what came of it. ping returns its body, which the contract defines.
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
