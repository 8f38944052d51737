package store

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// Bounds of coalescing: how many patches one transaction takes, how many transactions are under way at once on one
// server of PostgreSQL unless they are by client, how long one may take, and up to twice that, before those who wait no
// longer wait for it, and how many patches may wait before more are refused.
const (
	maxBatch   = 64
	maxWriters = 4
	patience   = 5 * time.Millisecond
	maxWaiting = 4096
)

// appPatch is one patch of one app on its way to the database.
type appPatch struct {
	ctx    context.Context
	key    AppKey
	fields Fields
	by     Author
	at     version

	app     App       // as it is afterwards
	now     time.Time // of the write
	changed bool
	err     error
	done    chan struct{} // closed when what stands above is true; nil for a caller who writes

	taken    bool // by a writer: it is given up no more
	brief    bool // it does not wait for a locked row for long, though it is alone
	locked   bool // it was not written: somebody else holds its row
	answered bool
	params   appParams
}

// answer tells the caller who waits for the patch. Nobody may write to the patch from then on.
func (p *appPatch) answer() {
	if p.answered = true; p.done != nil {
		close(p.done)
	}
}

// coalescer writes patches together that wait at the same moment: one transaction, one flush of the database's log. It
// never waits for company. A patch that finds no transaction under way goes at once; those that come meanwhile gather, and
// go out together when it has ended: one at a time makes the largest transactions, and the fewest. Only when it takes long,
// for the disk or for a row that somebody holds, the next does not wait for it. Patches of one app never meet in one
// transaction, nor in two at once, so each sees what the one before it left.
//
// A patch whose row somebody else holds goes on by itself, and keeps nobody waiting but later patches of its app. It counts as
// no transaction under way: the share of the pool that its client has bounds how many of these there are.
type coalescer struct {
	// write sets each patch's result, or that it is locked; patches come in the order of their keys. It may answer a patch
	// before it returns.
	write    func([]*appPatch)
	alone    func(*appPatch) // sets the result of a locked patch, and waits for its row
	limit    int             // transactions at once
	prompt   int             // of them, those that have not taken long yet
	byClient bool            // no transaction has patches of two clients

	mu       sync.Mutex
	waiting  []*appPatch
	busy     map[AppKey]bool // apps with a patch under way
	under    []*patchBatch   // transactions under way
	late     int             // how many of them take long
	watching bool            // the watch is set: somebody waits
	watch    *time.Timer
	closed   bool
	idle     sync.WaitGroup
	counts   patchCounts
}

// patchBatch is one transaction's patches.
type patchBatch struct {
	patches []*appPatch
	seen    bool // by a look
	late    bool // by another: it takes long
}

func newCoalescer(write func([]*appPatch), alone func(*appPatch), limit int, cfg Config) *coalescer {
	c := &coalescer{write: write, alone: alone, limit: limit, prompt: 1, byClient: cfg.BatchByClient, busy: map[AppKey]bool{}}
	if c.byClient {
		// Smaller transactions, each for one of many machines: more of them have to be under way.
		c.limit = max(limit, cfg.MaxConns/2)
		c.prompt = c.limit
	}
	c.watch = time.AfterFunc(time.Hour, c.look)
	c.watch.Stop()
	return c
}

// do writes a patch and returns when its transaction has ended. When ctx ends first the patch is given up if it still
// waits. One that is under way goes on, since others share its transaction, and is waited for as long as that is bounded:
// only for a caller who has gone is it left open whether it was written.
func (c *coalescer) do(p *appPatch) error {
	c.mu.Lock()
	if c.closed || len(c.waiting) >= maxWaiting {
		c.counts.refused++
		c.mu.Unlock()
		return &UnavailableError{reason: ReasonQueue, cause: errors.New("too many patches wait, or the store is closing")}
	}
	if c.room() && !c.busy[p.key] {
		// The caller is the writer: alone, a patch costs no hand-over. While another takes long, rows may be locked.
		p.brief = len(c.under) > 0
		b := c.start([]*appPatch{p})
		c.mu.Unlock()
		c.run(b)
		if c.finish(b); p.locked {
			c.writeAlone(p)
		}
		return p.err
	}
	p.done = make(chan struct{})
	c.waiting = append(c.waiting, p)
	if !c.watching {
		c.watching = true
		c.watch.Reset(patience)
	}
	c.mu.Unlock()
	select {
	case <-p.done:
		return p.err
	case <-p.ctx.Done():
	}
	if c.giveUp(p) || errors.Is(p.ctx.Err(), context.Canceled) {
		return fmt.Errorf("update app: %w", p.ctx.Err())
	}
	<-p.done
	return p.err
}

// giveUp says whether no writer had taken the patch: none will then.
func (c *coalescer) giveUp(p *appPatch) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.taken {
		return false
	}
	c.waiting = slices.DeleteFunc(c.waiting, func(other *appPatch) bool { return other == p })
	return true
}

// room says whether one more transaction may begin. The lock is held.
func (c *coalescer) room() bool {
	return len(c.under) < c.limit && len(c.under)-c.late < c.prompt
}

// start begins a transaction. The lock is held.
func (c *coalescer) start(patches []*appPatch) *patchBatch {
	b := &patchBatch{patches: patches}
	c.under = append(c.under, b)
	c.counts.add(len(patches))
	c.idle.Add(1)
	for _, p := range patches {
		c.busy[p.key] = true
	}
	return b
}

// run writes a batch, and answers those who wait for it but for the locked ones.
func (c *coalescer) run(b *patchBatch) {
	guardWrite(func() { c.write(b.patches) }, b.patches...)
	for _, p := range b.patches {
		if !p.answered && !p.locked {
			p.answer()
		}
	}
}

// guardWrite runs a write. A panic is the error of every patch that has no answer yet: what became of it is not known.
func guardWrite(write func(), patches ...*appPatch) {
	ended := false
	defer func() {
		if ended {
			return
		}
		r := recover()
		err := &OutcomeError{cause: fmt.Errorf("panic: %v\n%s", r, debug.Stack())}
		for _, p := range patches {
			if !p.answered {
				p.err, p.locked = err, false
			}
		}
	}()
	write()
	ended = true
}

// finish ends a transaction. Its locked patches go on, each by itself; the caller's own is the caller's to write.
func (c *coalescer) finish(b *patchBatch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.under = slices.DeleteFunc(c.under, func(other *patchBatch) bool { return other == b })
	if b.late {
		c.late--
	}
	for _, p := range b.patches {
		switch {
		case !p.locked:
			delete(c.busy, p.key)
		case p.done != nil:
			c.idle.Add(1)
			go c.writeAlone(p)
		default:
			c.idle.Add(1)
		}
	}
	c.handOver()
	c.idle.Done() // last: close waits for those who have just begun, too
}

// writeAlone writes a locked patch, whose app stays busy meanwhile. When that fails, the row is likely still locked, and the
// next patch of the app is written alone, too, instead of keeping a batch waiting.
func (c *coalescer) writeAlone(p *appPatch) {
	for p != nil {
		guardWrite(func() { c.alone(p) }, p)
		key, failed := p.key, p.err != nil
		p.answer()
		p = c.nextAlone(key, failed)
	}
	c.idle.Done()
}

// nextAlone takes the next patch of an app whose row is locked, or lets the app's patches join batches again.
func (c *coalescer) nextAlone(key AppKey, locked bool) *appPatch {
	c.mu.Lock()
	defer c.mu.Unlock()
	if locked {
		for i, p := range c.waiting {
			if p.key == key && p.ctx.Err() == nil {
				c.waiting = slices.Delete(c.waiting, i, i+1)
				p.taken = true
				return p
			}
		}
	}
	delete(c.busy, key)
	c.handOver()
	return nil
}

// handOver begins what may begin with those who wait, by a writer of its own: the caller has an answer to give, or a lock to
// return. The lock is held.
func (c *coalescer) handOver() {
	for c.room() {
		next := c.next()
		if len(next) == 0 {
			return
		}
		b := c.start(next)
		go func() {
			c.run(b)
			c.finish(b)
		}()
	}
}

// look is run while somebody waits. It lets nobody wait for a transaction that takes long.
func (c *coalescer) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range c.under {
		if b.seen && !b.late {
			b.late = true
			c.late++
		}
		b.seen = true
	}
	c.handOver()
	if c.watching = len(c.waiting) > 0; c.watching {
		c.watch.Reset(patience)
	}
}

// next takes from those who wait, in the order in which they came, at most one patch of an app and none of an app that is
// busy; by client, only those of the client that comes first. Whoever has given up is passed over. The batch is in the order
// of the keys, as every server's is: two servers cannot wait for each other.
func (c *coalescer) next() []*appPatch {
	var batch []*appPatch
	taken := map[AppKey]bool{}
	rest := c.waiting[:0]
	for _, p := range c.waiting {
		switch {
		case p.ctx.Err() != nil:
			p.taken, p.err = true, p.ctx.Err()
			p.answer()
		case len(batch) == maxBatch || taken[p.key] || c.busy[p.key] ||
			c.byClient && len(batch) > 0 && batch[0].key.ClientID != p.key.ClientID:
			rest = append(rest, p)
		default:
			taken[p.key], p.taken = true, true
			batch = append(batch, p)
		}
	}
	clear(c.waiting[len(rest):])
	c.waiting = rest
	slices.SortFunc(batch, func(a, b *appPatch) int {
		if d := compareIDs(a.key.ClientID, b.key.ClientID); d != 0 {
			return d
		}
		return compareIDs(a.key.ID, b.key.ID)
	})
	return batch
}

// close takes no more patches and waits until none is under way.
func (c *coalescer) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.idle.Wait()
}
