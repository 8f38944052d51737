package groupcommit

import (
	"context"
	"errors"
	"math/bits"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// Bounds of a group.
const (
	MaxBatch   = 64                   // items in one transaction
	maxQueue   = 4096                 // items that wait; one more is ErrFull
	slowAfter  = 5 * time.Millisecond // a transaction that takes longer than this, and at most twice this, is slow
	batchSizes = 7                    // powers of two up to MaxBatch
)

// Config has the functions and the bounds of a group.
type Config[K comparable, R Request[K]] struct {
	// Batch serves items, in the order of their keys, and sets Err or Locked of each. It may answer an item before it returns.
	Batch func([]R)
	// Alone writes an item that was Locked: it waits for the row and sets Err.
	Alone func(R)
	// Compare orders keys. All servers must use the same order, so that their transactions cannot deadlock.
	Compare func(a, b K) int
	// ReadOnly says that items only read. Then several of one key may be in flight, also in one transaction, and Do does not wait for the
	// result of an item whose context has ended.
	ReadOnly bool
	// Limit bounds the transactions in flight, FastLimit those of them that are not slow yet. Both must be at least 1.
	Limit, FastLimit int
}

// Group serves items, writes or reads, in batches, each in one transaction. It does not delay an item to fill a batch: if no transaction
// is in flight, the item is served at once. Items that arrive during a transaction queue and form the next batch. With one transaction at
// a time, batches are largest. When a transaction is slow, because of the disk or a locked row, the next one starts beside it. Two writes
// of one key never share a transaction and are never in flight at once, so each sees the result of the one before. A read begins after
// its call of Do, so it sees every write that has ended by then.
//
// A locked item is written alone and delays only later items of its key. It does not count as a transaction in flight.
type Group[K comparable, R Request[K]] struct {
	cfg Config[K, R]

	mu       sync.Mutex
	queue    []R
	busy     map[K]bool  // keys with an item in flight
	inFlight []*batch[R] // transactions
	slow     int         // how many of them are slow
	timerOn  bool        // because items are queued
	timer    *time.Timer
	closed   bool
	running  sync.WaitGroup // transactions, and items that are written alone
	counts   counts
}

// batch has the items of one transaction.
type batch[R any] struct {
	items   []R
	checked bool // checkSlow has seen it once
	slow    bool // checkSlow has seen it twice
}

type counts struct {
	refused, served uint64
	batches         [batchSizes]uint64
}

// Stats has the counts of a group since New, and its current state.
type Stats struct {
	Queued   int
	InFlight int    // transactions
	Refused  uint64 // items that were ErrFull
	Served   uint64 // items that were put into a transaction
	// Batches counts transactions by their number of items: element i has those of more than 1<<(i-1) and at most 1<<i.
	Batches []uint64
}

// New returns a group.
func New[K comparable, R Request[K]](cfg Config[K, R]) *Group[K, R] {
	g := &Group[K, R]{cfg: cfg, busy: map[K]bool{}}
	g.timer = time.AfterFunc(time.Hour, g.checkSlow)
	g.timer.Stop()
	return g
}

// Do serves an item and returns its result when its transaction has ended. If the item's context ends while the item is queued, the item
// is removed and never served. If it ends while the item is in flight, the transaction continues, because other items share it: after a
// deadline Do still waits for the result of a write, after a cancellation it returns at once and the item may or may not have been written.
func (g *Group[K, R]) Do(w R) error {
	item := w.Base()
	g.mu.Lock()
	if g.closed || len(g.queue) >= maxQueue {
		g.counts.refused++
		g.mu.Unlock()
		return ErrFull
	}
	if g.hasCapacity() && !g.busy[item.Key] {
		// The caller serves the item itself, which saves a switch to another goroutine. If another transaction is slow, rows may be
		// locked, so this one must not wait long for them.
		item.Brief = len(g.inFlight) > 0
		g.take(item)
		b := g.start([]R{w})
		g.mu.Unlock()
		g.run(b)
		if g.finish(b, false); item.Locked {
			g.writeAlone(w)
		}
		return item.Err
	}
	item.done = make(chan struct{})
	g.queue = append(g.queue, w)
	if !g.timerOn {
		g.timerOn = true
		g.timer.Reset(slowAfter)
	}
	g.mu.Unlock()
	select {
	case <-item.done:
		return item.Err
	case <-item.Ctx.Done():
	}
	if g.cancelQueued(w) || g.cfg.ReadOnly || errors.Is(item.Ctx.Err(), context.Canceled) {
		return item.Ctx.Err()
	}
	<-item.done
	return item.Err
}

// cancelQueued removes an item from the queue. It returns false if the item is in a transaction already.
func (g *Group[K, R]) cancelQueued(w R) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.Base().taken {
		return false
	}
	g.queue = slices.DeleteFunc(g.queue, func(other R) bool { return other == w })
	return true
}

// hasCapacity reports whether one more transaction may begin. The lock is held.
func (g *Group[K, R]) hasCapacity() bool {
	return len(g.inFlight) < g.cfg.Limit && len(g.inFlight)-g.slow < g.cfg.FastLimit
}

// take takes an item for a transaction. The lock is held.
func (g *Group[K, R]) take(item *Item[K]) {
	if item.taken = true; !g.cfg.ReadOnly {
		g.busy[item.Key] = true
	}
}

// start begins a transaction. The lock is held.
func (g *Group[K, R]) start(items []R) *batch[R] {
	b := &batch[R]{items: items}
	g.inFlight = append(g.inFlight, b)
	g.counts.add(len(items))
	g.running.Add(1)
	return b
}

func (c *counts) add(size int) {
	c.served += uint64(size) //nolint:gosec // never negative
	c.batches[bits.Len(uint(size-1))]++
}

// run serves a batch and answers its items, except the locked ones.
func (g *Group[K, R]) run(b *batch[R]) {
	recoverPanic(func() { g.cfg.Batch(b.items) }, b.items...)
	for _, w := range b.items {
		if item := w.Base(); !item.answered && !item.Locked {
			item.Answer()
		}
	}
}

// recoverPanic calls write. A panic becomes the result of every item that has no answer yet.
func recoverPanic[K comparable, R Request[K]](write func(), items ...R) {
	returned := false
	defer func() {
		if returned {
			return
		}
		err := &PanicError{Value: recover(), Stack: debug.Stack()}
		for _, w := range items {
			if item := w.Base(); !item.answered {
				item.Err, item.Locked = err, false
			}
		}
	}()
	write()
	returned = true
}

// finish ends a transaction. It starts a goroutine for each locked item, except one that its caller writes. If the goroutine goes on, it
// returns the transaction that follows, if there is one: the goroutine is awake, and its stack is large enough.
func (g *Group[K, R]) finish(b *batch[R], goesOn bool) (next *batch[R]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inFlight = slices.DeleteFunc(g.inFlight, func(other *batch[R]) bool { return other == b })
	if b.slow {
		g.slow--
	}
	for _, w := range b.items {
		switch item := w.Base(); {
		case !item.Locked:
			delete(g.busy, item.Key)
		case item.done != nil:
			g.running.Add(1)
			go g.writeAlone(w)
		default:
			g.running.Add(1)
		}
	}
	if goesOn {
		next = g.startNext()
	}
	g.dispatch()
	g.running.Done() // last, so that Close also waits for the transactions that were started here
	return next
}

// writeAlone writes a locked item. Its key stays busy until then. If the write fails, the row is probably still locked, so the next item
// of the key is also written alone and delays no batch.
func (g *Group[K, R]) writeAlone(w R) {
	for more := true; more; {
		recoverPanic(func() { g.cfg.Alone(w) }, w)
		item := w.Base()
		key, failed := item.Key, item.Err != nil
		item.Answer()
		w, more = g.nextAlone(key, failed)
	}
	g.running.Done()
}

// nextAlone removes the next item of a key whose row is locked from the queue. If there is none, or the row is free, further items of the
// key are written in batches again.
func (g *Group[K, R]) nextAlone(key K, locked bool) (next R, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if locked {
		for i, w := range g.queue {
			if item := w.Base(); item.Key == key && item.Ctx.Err() == nil {
				g.queue = slices.Delete(g.queue, i, i+1)
				item.taken = true
				return w, true
			}
		}
	}
	delete(g.busy, key)
	g.dispatch()
	return next, false
}

// dispatch starts transactions for queued items while there is capacity, each in a goroutine, because the caller must return its own
// result. The lock is held.
func (g *Group[K, R]) dispatch() {
	for b := g.startNext(); b != nil; b = g.startNext() {
		go func() {
			for next := b; next != nil; next = g.finish(next, true) {
				g.run(next)
			}
		}()
	}
}

// startNext begins the next transaction of queued items. It returns nil if there is none, or no capacity. The lock is held.
func (g *Group[K, R]) startNext() *batch[R] {
	if !g.hasCapacity() {
		return nil
	}
	items := g.takeBatch()
	if len(items) == 0 {
		return nil
	}
	return g.start(items)
}

// checkSlow runs every slowAfter while items are queued. A transaction that it sees twice is slow, and the queue no longer waits for it.
func (g *Group[K, R]) checkSlow() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, b := range g.inFlight {
		if b.checked && !b.slow {
			b.slow = true
			g.slow++
		}
		b.checked = true
	}
	g.dispatch()
	if g.timerOn = len(g.queue) > 0; g.timerOn {
		g.timer.Reset(slowAfter)
	}
}

// takeBatch removes a batch from the queue, oldest items first: at most one item of each key, and none of a busy key. It answers and drops
// items whose context has ended. The batch is in the order of the keys. The lock is held.
func (g *Group[K, R]) takeBatch() []R {
	var items []R
	rest := g.queue[:0]
	for _, w := range g.queue {
		item := w.Base()
		switch {
		case item.Ctx.Err() != nil:
			item.taken, item.Err = true, item.Ctx.Err()
			item.Answer()
		case len(items) == MaxBatch || g.busy[item.Key]:
			rest = append(rest, w)
		default:
			g.take(item)
			items = append(items, w)
		}
	}
	clear(g.queue[len(rest):])
	g.queue = rest
	slices.SortFunc(items, func(a, b R) int { return g.cfg.Compare(a.Base().Key, b.Base().Key) })
	return items
}

// Stats returns the group's counts.
func (g *Group[K, R]) Stats() Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	return Stats{
		Queued: len(g.queue), InFlight: len(g.inFlight), Refused: g.counts.refused, Served: g.counts.served,
		Batches: slices.Clone(g.counts.batches[:]),
	}
}

// Close refuses further items and returns when none is in flight.
func (g *Group[K, R]) Close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.running.Wait()
}
