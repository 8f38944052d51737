// Package connlimit divides a pool of connections, so that writes of one client that wait for locks cannot use the whole pool.
package connlimit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ErrTimeout means that no share became free in time: other writes of the same key, or of all keys, held their share.
var ErrTimeout = errors.New("other writes of the same client have its share of the connections")

// Shares bounds the connections of one pool that writes may hold while they wait for locks: a quarter of the pool for one key, three
// quarters for all keys. A write keeps its connection while it waits for a lock. Without the bound, writes of one client to one locked row
// could use the whole pool, and reads and other clients would wait.
//
// A write that has to wait for a share holds no connection. To avoid deadlocks, a caller that holds a share must not acquire another.
type Shares[K comparable] struct {
	maxPerKey int
	maxTotal  int // for all keys; 0: no bound

	mu      sync.Mutex
	total   int
	held    map[K]int    // no value is 0
	waiting []*waiter[K] // oldest first; no share is free for any of them
	counts  counts
}

type waiter[K comparable] struct {
	key     K
	granted chan struct{} // closed with the lock held
}

// counts has the counts of Shares since New.
type counts struct {
	waits    atomic.Uint64
	waitTime atomic.Int64 // nanoseconds
}

// New returns the shares of a pool with this many connections.
func New[K comparable](conns int) *Shares[K] {
	p := &Shares[K]{maxPerKey: max(1, conns/4), held: map[K]int{}}
	if conns > 1 {
		p.maxTotal = conns - max(1, conns/4)
	}
	return p
}

// Acquire waits until the key may use one more connection. It does not lend a connection: the caller may then ask the pool for one.
// release must be called once. If the deadline of ctx passes first, Acquire fails with ErrTimeout; if ctx is canceled, with an error that
// wraps the context's.
//
//	release, err := shares.Acquire(ctx, clientID)
//	if err != nil {
//		return err
//	}
//	defer release()
func (p *Shares[K]) Acquire(ctx context.Context, key K) (release func(), err error) {
	p.mu.Lock()
	if p.hasCapacity(key) {
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
	started := time.Now()
	defer func() { p.counts.waitTime.Add(int64(time.Since(started))) }()
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
	if at < 0 { // granted at the same time
		p.release(w.key)
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("wait for a share of the connections: %w", ctx.Err())
	}
	return ErrTimeout
}

// hasCapacity reports whether a write with the key may have a connection. The lock is held.
func (p *Shares[K]) hasCapacity(key K) bool {
	return p.held[key] < p.maxPerKey && (p.maxTotal == 0 || p.total < p.maxTotal)
}

// take counts one more connection of the key. The lock is held.
func (p *Shares[K]) take(key K) {
	p.held[key]++
	p.total++
}

// release counts one connection less. The waiting write whose key has the fewest connections goes next, so that no key gets all of them
// while others wait.
func (p *Shares[K]) release(key K) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total--
	if p.held[key]--; p.held[key] == 0 {
		delete(p.held, key)
	}
	next := -1
	for i, w := range p.waiting {
		if p.hasCapacity(w.key) && (next < 0 || p.held[w.key] < p.held[p.waiting[next].key]) {
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

// Stats has the current state of the shares, and their counts since New.
type Stats struct {
	Waiting  int           // writes that wait now
	Keys     int           // keys that hold a connection now
	Waits    uint64        // how many writes had to wait
	WaitTime time.Duration // total time of all waits
}

// Stats returns the statistics.
func (p *Shares[K]) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{
		Waiting: len(p.waiting), Keys: len(p.held),
		Waits: p.counts.waits.Load(), WaitTime: time.Duration(p.counts.waitTime.Load()),
	}
}

// Bounds returns how many connections one key may hold, and how many all keys together; 0 means no bound.
func (p *Shares[K]) Bounds() (perKey, total int) { return p.maxPerKey, p.maxTotal }
