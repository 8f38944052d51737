// Package catalogcache keeps an immutable snapshot of something that is read all the time and changes seldom, and swaps it as a whole
// when its revision in the database has changed.
package catalogcache

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

// Config has the functions that read a snapshot and its revision.
type Config[S any] struct {
	Revision   func(ctx context.Context) (int64, error)          // reads the revision of the database
	Load       func(ctx context.Context, old *S) (*S, error)     // makes a snapshot at least as new as when it was called; old may be nil
	RevisionOf func(snapshot *S) int64                           // of a snapshot
	Clock      func() time.Time                                  // for Stats
	Timeout    time.Duration                                     // of a load
	OnError    func(ctx context.Context, what string, err error) // called with errors that no caller gets
}

// Cache keeps the newest snapshot. Its methods are safe for concurrent use.
type Cache[S any] struct {
	cfg     Config[S]
	current atomic.Pointer[S]
	loading singleflight.Group // callers share one load

	loadedAt, checkedAt atomic.Pointer[time.Time]
	loads, failures     atomic.Uint64
}

// New returns a cache without a snapshot. The first Refresh loads it.
func New[S any](cfg Config[S]) *Cache[S] { return &Cache[S]{cfg: cfg} }

// Current returns the snapshot as it is; nil before the first Refresh.
func (c *Cache[S]) Current() *S { return c.current.Load() }

// Refresh returns a snapshot that is at least as new as the database is now. Called after a transaction that
// changed what the snapshot shows, it makes the change visible at once.
func (c *Cache[S]) Refresh(ctx context.Context) (*S, error) {
	started := c.cfg.Clock()
	revision, err := c.cfg.Revision(ctx)
	for err == nil {
		if s := c.current.Load(); s != nil && c.cfg.RevisionOf(s) >= revision {
			c.checkedAt.Store(&started)
			return s, nil
		}
		err = c.shareLoad(ctx)
	}
	c.failures.Add(1)
	return nil, err
}

// shareLoad waits for one load, which all callers at that moment share. The load may have begun before a change that the caller has
// seen: then the caller loads again. The load continues when a caller gives up.
func (c *Cache[S]) shareLoad(ctx context.Context) error {
	loaded := c.loading.DoChan("", func() (any, error) {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.cfg.Timeout)
		defer cancel()
		fresh, err := c.cfg.Load(bounded, c.current.Load())
		if err != nil {
			return nil, err
		}
		now := c.cfg.Clock()
		c.loadedAt.Store(&now)
		c.current.Store(fresh)
		c.loads.Add(1)
		return nil, nil
	})
	select {
	case <-ctx.Done():
		return ctx.Err()
	case result := <-loaded:
		return result.Err
	}
}

// RefreshWithin refreshes the snapshot after a change, if there is one yet, for at most timeout. If it fails, Follow tries again.
func (c *Cache[S]) RefreshWithin(ctx context.Context, timeout time.Duration) {
	if c.current.Load() == nil {
		return
	}
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if _, err := c.Refresh(bounded); err != nil && ctx.Err() == nil {
		c.cfg.OnError(ctx, "a change of the catalog does not show yet", err)
	}
}

// Follow refreshes the snapshot at each interval, until ctx ends, to see changes that other servers made. The interval bounds how stale
// the snapshot can be; timeout bounds each refresh.
func (c *Cache[S]) Follow(ctx context.Context, interval, timeout time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if c.current.Load() == nil {
			continue
		}
		bounded, cancel := context.WithTimeout(ctx, timeout)
		if _, err := c.Refresh(bounded); err != nil && ctx.Err() == nil {
			c.cfg.OnError(ctx, "catalog not refreshed", err)
		}
		cancel()
	}
}

// Stats has the counts of the cache since New. Times are zero before there is a snapshot.
type Stats struct {
	LoadedAt  time.Time // when the snapshot was made
	CheckedAt time.Time // when it was last known to be the newest
	Loads     uint64    // how often a snapshot was made
	Failures  uint64    // how often Refresh failed
}

// Stats returns the statistics.
func (c *Cache[S]) Stats() Stats {
	stats := Stats{Loads: c.loads.Load(), Failures: c.failures.Load()}
	if at := c.loadedAt.Load(); at != nil {
		stats.LoadedAt = *at
	}
	if at := c.checkedAt.Load(); at != nil {
		stats.CheckedAt = *at
	}
	return stats
}

// Hold blocks every load until release is called. It is for tests of callers that wait for a load.
func (c *Cache[S]) Hold() (release func()) {
	released, started := make(chan struct{}), make(chan struct{})
	c.loading.DoChan("", func() (any, error) {
		close(started)
		<-released
		return nil, nil
	})
	<-started
	return func() { close(released) }
}
