// Package tokenusage records when tokens were used, to the minute, and writes that in batches, in the background.
package tokenusage

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

const maxBatch = 1000 // tokens in one statement

// Usage has the uses that are not yet in the database. It is safe for concurrent use.
type Usage struct {
	write func(ctx context.Context, minute time.Time, ids []uuid.UUID) error

	mu      sync.Mutex
	pending map[uuid.UUID]int64 // the latest minute of each token, since 1970
}

// New returns a Usage without uses. write writes that tokens were used in a minute, unless a later use of them is written already.
func New(write func(ctx context.Context, minute time.Time, ids []uuid.UUID) error) *Usage {
	return &Usage{write: write, pending: map[uuid.UUID]int64{}}
}

// Mark notes the uses of one token. It is part of the token in the cache, so that a use in the same minute as the one before costs a
// comparison.
type Mark struct {
	usage *Usage
	id    uuid.UUID
	last  atomic.Int64 // minute of the latest use
}

// Mark returns the mark of a token whose last use was written as last. last is nil if there is none.
func (u *Usage) Mark(id uuid.UUID, last *time.Time) *Mark {
	m := &Mark{usage: u, id: id}
	m.last.Store(-1)
	if last != nil {
		m.last.Store(last.Unix() / 60)
	}
	return m
}

// Note notes a use of the token. It never waits for the database.
func (m *Mark) Note(at time.Time) {
	minute := at.Unix() / 60
	if last := m.last.Load(); minute <= last || !m.last.CompareAndSwap(last, minute) {
		return // another request notes the same minute, or a later one
	}
	m.usage.add(m.id, minute)
}

func (u *Usage) add(id uuid.UUID, minute int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if latest, ok := u.pending[id]; !ok || latest < minute {
		u.pending[id] = minute
	}
}

// Run flushes at each interval until ctx ends. It ignores errors, since the next flush tries again.
func (u *Usage) Run(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			_ = u.Flush(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// Flush writes the uses since the last flush, with one statement for a thousand tokens that were used in the same minute. It keeps what
// it cannot write for the next flush. Without uses it does nothing.
func (u *Usage) Flush(ctx context.Context) error {
	u.mu.Lock()
	taken := u.pending
	u.pending = map[uuid.UUID]int64{} // also when it is empty: a use may be added to it below
	u.mu.Unlock()
	byMinute := map[int64][]uuid.UUID{}
	for id, minute := range taken {
		byMinute[minute] = append(byMinute[minute], id)
	}
	var err error
	for minute, ids := range byMinute {
		for batch := range slices.Chunk(ids, maxBatch) {
			if err == nil { // after a failure, the other statements would likely fail too
				err = u.write(ctx, time.Unix(minute*60, 0).UTC(), batch)
			}
			if err != nil {
				u.requeue(batch, minute)
			}
		}
	}
	return err
}

func (u *Usage) requeue(ids []uuid.UUID, minute int64) {
	for _, id := range ids {
		u.add(id, minute)
	}
}
