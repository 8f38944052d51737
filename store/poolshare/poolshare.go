// Package poolshare divides a pool of connections, so that the writes of one client which wait for locks cannot take all of it.
package poolshare

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ErrTimeout says that other writes of the same key, or of all, have had their share of the connections for too long.
var ErrTimeout = errors.New("other writes of the same client have its share of the connections")

// Shares bounds the connections of one pool that are held by writes which may wait for locks: a quarter of the pool for one key,
// three quarters for all. A write keeps its connection while it waits for a lock. Without the bound, the writes of one client to one
// locked row could take the whole pool, and reads and other clients would wait.
//
// A write that has to wait for its share waits in memory. It never waits while it holds a share: a write may not acquire a
// second one.
type Shares[K comparable] struct {
	each int // for one key
	all  int // for all keys; 0: no bound

	mu      sync.Mutex
	total   int
	held    map[K]int    // no entry is 0
	waiting []*waiter[K] // oldest first; none could have a connection now
	counts  counts
}

type waiter[K comparable] struct {
	key     K
	granted chan struct{} // closed with the lock held
}

// counts is what Shares has done since the store was opened.
type counts struct {
	waits  atomic.Uint64
	waited atomic.Int64 // nanoseconds
}

// New divides a pool of so many connections.
func New[K comparable](conns int) *Shares[K] {
	p := &Shares[K]{each: max(1, conns/4), held: map[K]int{}}
	if conns > 1 {
		p.all = conns - max(1, conns/4)
	}
	return p
}

// Acquire takes a connection of the key's share, or waits until it may; release gives it back and must be called once. It
// lends no connection: it only says that the caller may ask the pool for one. When ctx ends first, Acquire fails with ErrTimeout, or
// with the context's error when the caller has gone.
//
//	release, err := shares.Acquire(ctx, clientID)
//	if err != nil {
//		return err
//	}
//	defer release()
func (p *Shares[K]) Acquire(ctx context.Context, key K) (release func(), err error) {
	p.mu.Lock()
	if p.free(key) {
		p.take(key)
		p.mu.Unlock()
		return func() { p.release(key) }, nil
	}
	w := &waiter[K]{key: key, granted: make(chan struct{})}
	p.waiting = append(p.waiting, w)
	p.mu.Unlock()
	if err := p.wait(ctx, w); err != nil {
		return nil, err
	}
	return func() { p.release(key) }, nil
}

func (p *Shares[K]) wait(ctx context.Context, w *waiter[K]) error {
	p.counts.waits.Add(1)
	begun := time.Now()
	defer func() { p.counts.waited.Add(int64(time.Since(begun))) }()
	select {
	case <-w.granted:
		return nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	at := slices.Index(p.waiting, w)
	if at >= 0 {
		p.waiting = slices.Delete(p.waiting, at, at+1)
	}
	p.mu.Unlock()
	if at < 0 { // granted at the same moment
		p.release(w.key)
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("wait for a share of the connections: %w", ctx.Err())
	}
	return ErrTimeout
}

// free reports whether a write with the key may have a connection. The lock is held.
func (p *Shares[K]) free(key K) bool {
	return p.held[key] < p.each && (p.all == 0 || p.total < p.all)
}

// take counts a connection. The lock is held.
func (p *Shares[K]) take(key K) {
	p.held[key]++
	p.total++
}

// release gives a connection back. Of the waiting writes, the one whose client has the fewest connections goes next, so that no client
// gets all of them in turn while others wait.
func (p *Shares[K]) release(key K) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total--
	if p.held[key]--; p.held[key] == 0 {
		delete(p.held, key)
	}
	next := -1
	for i, w := range p.waiting {
		if p.free(w.key) && (next < 0 || p.held[w.key] < p.held[p.waiting[next].key]) {
			next = i
		}
	}
	if next < 0 {
		return
	}
	w := p.waiting[next]
	p.waiting = slices.Delete(p.waiting, next, next+1)
	p.take(w.key)
	close(w.granted)
}

// Stats is how the shares are, and what they have done since New.
type Stats struct {
	Waiting  int           // writes that wait at this moment
	Keys     int           // that hold a connection at this moment
	Waits    uint64        // how often one had to wait
	WaitTime time.Duration // for how long they waited, altogether
}

// Stats returns the statistics.
func (p *Shares[K]) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{
		Waiting: len(p.waiting), Keys: len(p.held),
		Waits: p.counts.waits.Load(), WaitTime: time.Duration(p.counts.waited.Load()),
	}
}

// Bounds is how many connections one key may hold, and how many all may; 0 is no bound.
func (p *Shares[K]) Bounds() (each, all int) { return p.each, p.all }
