package tokencache

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
)

// Bounds of the database work for tokens that are not in the cache. Anybody can compute a valid checksum, so each request of an attacker
// can have a new token.
const (
	maxTokenQueue      = 4096 // tokens that wait for a look-up; one more is refused
	maxTokenBatch      = 1000 // tokens in one statement
	maxTokenStatements = 2    // in flight
)

// ErrFull means that too many tokens wait for a look-up.
var ErrFull = errors.New("too many tokens wait to be looked up")

// lookups looks up tokens that are not in the cache. Tokens that wait at the same time share a statement. A flood of unknown tokens costs
// one statement for each thousand, and a valid token among them waits no longer than the others.
type lookups[T any] struct {
	find func(ctx context.Context, hashes []Hash) (map[Hash]*T, error)

	mu         sync.Mutex
	waiting    []*lookup[T]
	running    int    // statements in flight
	generation uint64 // how often forget was called
	statements uint64
	refused    uint64
}

// lookup is one caller that waits for a token.
type lookup[T any] struct {
	ctx   context.Context
	hash  Hash
	done  chan struct{} // closed when token and err are set
	token *T            // nil: no such token
	err   error
}

// lookUp returns the token with this hash, or nil if there is none. It calls put with the result, unless forget was called during the
// look-up, since the result may then be out of date. Errors are ErrFull and those of find.
func (l *lookups[T]) lookUp(ctx context.Context, hash Hash, put func(Hash, *T)) (*T, error) {
	w := &lookup[T]{ctx: ctx, hash: hash, done: make(chan struct{})}
	l.mu.Lock()
	if len(l.waiting) >= maxTokenQueue {
		l.refused++
		l.mu.Unlock()
		return nil, ErrFull
	}
	l.waiting = append(l.waiting, w)
	if l.running < maxTokenStatements {
		l.running++
		go l.run(put)
	}
	l.mu.Unlock()
	select {
	case <-w.done:
		return w.token, w.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// run looks up waiting tokens until none is left.
func (l *lookups[T]) run(put func(Hash, *T)) {
	for {
		l.mu.Lock()
		batch := l.takeBatch()
		if len(batch) == 0 {
			l.running--
			l.mu.Unlock()
			return
		}
		l.statements++
		generation := l.generation
		l.mu.Unlock()
		found, err := l.findBatch(batch)
		l.mu.Lock()
		for _, w := range batch {
			if w.token, w.err = found[w.hash], err; err == nil && l.generation == generation {
				put(w.hash, w.token)
			}
			close(w.done)
		}
		l.mu.Unlock()
	}
}

// takeBatch removes the oldest callers from the queue, up to a batch. It drops those whose context has ended. The lock is held.
func (l *lookups[T]) takeBatch() []*lookup[T] {
	var batch []*lookup[T]
	taken := 0
	for _, w := range l.waiting {
		if len(batch) == maxTokenBatch {
			break
		}
		taken++
		if w.ctx.Err() == nil {
			batch = append(batch, w)
		}
	}
	clear(l.waiting[:taken])
	l.waiting = l.waiting[taken:]
	return batch
}

// findBatch runs the statement for a batch. The context of a single caller cancels it, but no context cancels a shared statement.
func (l *lookups[T]) findBatch(batch []*lookup[T]) (found map[Hash]*T, err error) {
	defer func() {
		if r := recover(); r != nil { // otherwise the callers would wait forever
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	ctx := batch[0].ctx
	if len(batch) > 1 {
		ctx = context.WithoutCancel(ctx)
	}
	hashes := make([]Hash, 0, len(batch))
	seen := make(map[Hash]bool, len(batch))
	for _, w := range batch {
		if !seen[w.hash] {
			seen[w.hash] = true
			hashes = append(hashes, w.hash)
		}
	}
	return l.find(ctx, hashes)
}

// forget calls drop, which removes a token from the cache. Look-ups in flight cannot put their results into the cache afterwards.
func (l *lookups[T]) forget(drop func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.generation++
	drop()
}

func (l *lookups[T]) counts() (statements, refused uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.statements, l.refused
}
