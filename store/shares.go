package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// errPoolShare is the cause of an UnavailableError with ReasonShare.
var errPoolShare = errors.New("other writes of the same client have its share of the connections")

// shareKey names the share of the pool that a write uses. The zero key is not bounded.
type shareKey struct {
	kind   shareKind
	client uuid.UUID
}

type shareKind int8

const (
	unshared shareKind = iota
	shareOfClient
	shareOfCatalog
	shareOfTokens
)

var (
	catalogShare = shareKey{kind: shareOfCatalog} // all changes of the catalog
	tokenShare   = shareKey{kind: shareOfTokens}  // all changes of tokens
)

// clientShare is for every write that is bound to one client and may wait for a lock.
func clientShare(id uuid.UUID) shareKey { return shareKey{shareOfClient, id} }

// poolShares bounds the connections of writes that may wait for locks: a quarter of the pool for one client, three quarters for all.
// A write keeps its connection while it waits for a lock. Without the bound, the requests of one client for one locked row could
// take the whole pool, and reads and other clients would wait. Reads take no share. Nor do batches of patches, which wait for a lock
// for at most shortLockWait.
//
// A write that has to wait for its share waits in memory. It never waits while it holds a share: nobody may acquire a
// second one.
type poolShares struct {
	each int // for one key
	all  int // for all keys; 0: no bound

	mu      sync.Mutex
	total   int
	held    map[shareKey]int // no entry is 0
	waiting []*shareWaiter   // oldest first; none could have a connection now
	counts  shareCounts
}

type shareWaiter struct {
	key     shareKey
	granted chan struct{} // closed with the lock held
}

// shareCounts is what poolShares has done since the store was opened.
type shareCounts struct {
	waits  atomic.Uint64
	waited atomic.Int64 // nanoseconds
}

// newPoolShares divides a pool of so many connections.
func newPoolShares(conns int) *poolShares {
	p := &poolShares{each: max(1, conns/4), held: map[shareKey]int{}}
	if conns > 1 {
		p.all = conns - max(1, conns/4)
	}
	return p
}

// acquire takes a connection of the key's share, or waits until it may; release gives it back and must be called once. It
// lends no connection: it only says that the caller may ask the pool for one. When ctx ends first, acquire fails with
// UnavailableError (ReasonShare), or with the context's error when the caller has gone.
//
//	release, err := s.shares.acquire(ctx, clientShare(clientID))
//	if err != nil {
//		return err
//	}
//	defer release()
func (p *poolShares) acquire(ctx context.Context, key shareKey) (release func(), err error) {
	if key.kind == unshared {
		return func() {}, nil
	}
	p.mu.Lock()
	if p.free(key) {
		p.take(key)
		p.mu.Unlock()
		return func() { p.release(key) }, nil
	}
	w := &shareWaiter{key: key, granted: make(chan struct{})}
	p.waiting = append(p.waiting, w)
	p.mu.Unlock()
	if err := p.wait(ctx, w); err != nil {
		return nil, err
	}
	return func() { p.release(key) }, nil
}

func (p *poolShares) wait(ctx context.Context, w *shareWaiter) error {
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
	return &UnavailableError{reason: ReasonShare, cause: errPoolShare}
}

// free reports whether a write with the key may have a connection. The lock is held.
func (p *poolShares) free(key shareKey) bool {
	return p.held[key] < p.each && (p.all == 0 || p.total < p.all)
}

// take counts a connection. The lock is held.
func (p *poolShares) take(key shareKey) {
	p.held[key]++
	p.total++
}

// release gives a connection back. Of the waiting writes, the one whose client has the fewest connections goes next, so that no client
// gets all of them in turn while others wait.
func (p *poolShares) release(key shareKey) {
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

func (p *poolShares) stats() ShareStats {
	p.mu.Lock()
	waiting := len(p.waiting)
	p.mu.Unlock()
	return ShareStats{
		Waiting: waiting, Waits: p.counts.waits.Load(), WaitTime: time.Duration(p.counts.waited.Load()),
	}
}
