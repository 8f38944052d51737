package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"gorm.io/gorm"

	"github.com/clientapps/clientapps/store/groupcommit"
)

// appPatch is one patch of one app while it is written.
type appPatch struct {
	groupcommit.Item[AppKey]

	fields   Fields
	by       Actor
	expected expectedVersion

	app     App       // as it is afterwards
	now     time.Time // of the write
	changed bool
	params  appParams
}

// appTable reads and patches apps, in the way of each database.
type appTable interface {
	// take reads one app, or fails with gorm.ErrRecordNotFound. With toWrite it finds no app of a client that is not active.
	take(ctx context.Context, key AppKey, toWrite bool) (App, error)
	// find reads the apps of the client that q selects. It may set a non-nil total to the number of the client's apps.
	find(client uuid.UUID, q *gorm.DB, apps *[]App, total *int64) error
	// write writes a batch of patches.
	write(batch []*appPatch)
	// writers is how many batches may be in flight.
	writers() int
	// writeBulk writes a bulk update of apps in one round trip. What it leaves pending is not decided.
	writeBulk(ctx context.Context, b *bulkUpdate) error
	// readStats describes the reads that share statements.
	readStats() groupcommit.Stats
	// close ends reads.
	close()
}

// newPatchGroup makes the group commit of patches.
func newPatchGroup(s *Store, cfg Config) *groupcommit.Group[AppKey, *appPatch] {
	limit := s.apps.writers()
	group := groupcommit.Config[AppKey, *appPatch]{
		Batch: s.apps.write, Alone: s.writeAlone, Compare: compareAppKeys, Limit: limit, FastLimit: 1,
	}
	if cfg.BatchByClient {
		// A statement for each patch: one connection alone would keep PostgreSQL waiting.
		group.Limit = max(limit, cfg.MaxConns/2)
		group.FastLimit = fastPipelines
	}
	return groupcommit.New(group)
}

func compareAppKeys(a, b AppKey) int {
	return cmp.Or(compareIDs(a.ClientID, b.ClientID), compareIDs(a.ID, b.ID))
}

// compareIDs orders ids as both databases do: bytewise.
func compareIDs(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }

// writeByGroupCommit writes a patch by group commit.
func (s *Store) writeByGroupCommit(p *appPatch) error {
	err := s.patches.Do(p)
	if err == nil {
		return nil // before errors.As allocates
	}
	if panicked := (*groupcommit.PanicError)(nil); errors.As(err, &panicked) {
		return &InDoubtError{cause: panicked}
	}
	if errors.Is(err, groupcommit.ErrFull) {
		return &UnavailableError{reason: ReasonQueue, cause: err}
	}
	return err
}

// update runs the UPDATE that gorm's Updates builds from the field map.
func (p *appPatch) update(s *Store, db *gorm.DB) {
	q := p.expected.selectApp(db, p.Key).Clauses(returning(patchedColumns...))
	p.now = s.now()
	res := p.fields.patch(q, &p.app, s.auditColumns(p.by, s.monotonicUpdatedAt(p.now)), 0)
	p.changed, p.Err = res.RowsAffected == 1, res.Error
}

// writeAlone writes a patch whose row is locked, within the client's share of the pool. It only waits for the row when the patch
// depends on the catalog's revision: its caller then reads the app again.
func (s *Store) writeAlone(p *appPatch) {
	p.Err, p.changed = nil, false
	if p.expected.catalog != 0 {
		p.Err = s.awaitAppLocks(p.Ctx, p.Key)
		return
	}
	p.Err = s.inTx(p.Ctx, clientShare(p.Key.ClientID), p.committed, func(tx *gorm.DB) error {
		p.update(s, tx)
		return p.Err
	})
}

// dryRunPatch is writeByGroupCommit for a dry run, which shares no transaction. It does not lock the catalog: its result need not stay true.
func (s *Store) dryRunPatch(p *appPatch) error {
	err := s.inTx(p.Ctx, clientShare(p.Key.ClientID), nil, func(tx *gorm.DB) error {
		p.update(s, tx)
		return p.Err
	})
	if p.changed {
		p.app.Version-- // that of the app as it is
	}
	return err
}

// traceBatch starts the span of a transaction that several requests share. The span belongs to the trace of the first request that is
// traced. It links to all of them, and each of them links to it.
func traceBatch[R groupcommit.Request[AppKey]](ctx context.Context, s *Store, name string, batch []R) (context.Context, trace.Span) {
	if s.tracer == nil {
		return ctx, trace.SpanFromContext(ctx)
	}
	var parent trace.Span
	var links []trace.Link
	for _, r := range batch {
		if span := trace.SpanFromContext(r.Base().Ctx); span.IsRecording() {
			links = append(links, trace.Link{SpanContext: span.SpanContext()})
			if parent == nil {
				parent = span
			}
		}
	}
	if parent == nil {
		return ctx, trace.SpanFromContext(ctx)
	}
	ctx, batched := s.tracer.Start(trace.ContextWithSpan(ctx, parent), name, trace.WithLinks(links...),
		trace.WithAttributes(attribute.Int("clientapps.requests", len(batch))))
	for _, r := range batch {
		trace.SpanFromContext(r.Base().Ctx).AddLink(trace.Link{SpanContext: batched.SpanContext()})
	}
	return ctx, batched
}
