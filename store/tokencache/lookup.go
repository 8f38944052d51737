package tokencache

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
)

// Bounds of what tokens that are not remembered cost the database. A token's checksum can be computed by anybody, so each
// request of an attacker brings one more.
const (
	maxTokenQueue      = 4096 // tokens that wait to be looked up; one more is refused
	maxTokenBatch      = 1000 // tokens in one statement
	maxTokenStatements = 2    // at once
)

// ErrFull says that too many tokens wait to be looked up.
var ErrFull = errors.New("too many tokens wait to be looked up")

// lookups looks up tokens that are not remembered. Those that wait at the same moment share a statement, so a flood of
// unknown tokens costs a statement for each thousand, and a good one among them waits no longer than the others.
type lookups[T any] struct {
	find func(ctx context.Context, hashes []Hash) (map[Hash]*T, error)

	mu         sync.Mutex
	waiting    []*lookup[T]
	running    int    // statements under way
	generation uint64 // how often something was forgotten
	statements uint64
	refused    uint64
}

// lookup is one caller who waits for a token.
type lookup[T any] struct {
	ctx   context.Context
	hash  Hash
	done  chan struct{} // closed when token and err are set
	token *T            // nil: there is none
	err   error
}

// lookUp returns the token with this hash, nil for none. remember is called with what was found, unless forget was called
// meanwhile: then it may be out of date. Errors are ErrFull and those of find.
func (l *lookups[T]) lookUp(ctx context.Context, hash Hash, remember func(Hash, *T)) (*T, error) {
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
		go l.run(remember)
	}
	l.mu.Unlock()
	select {
	case <-w.done:
		return w.token, w.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// run looks up who waits until nobody does.
func (l *lookups[T]) run(remember func(Hash, *T)) {
	for {
		l.mu.Lock()
		batch := l.take()
		if len(batch) == 0 {
			l.running--
			l.mu.Unlock()
			return
		}
		l.statements++
		generation := l.generation
		l.mu.Unlock()
		found, err := l.answer(batch)
		l.mu.Lock()
		for _, w := range batch {
			if w.token, w.err = found[w.hash], err; err == nil && l.generation == generation {
				remember(w.hash, w.token)
			}
			close(w.done)
		}
		l.mu.Unlock()
	}
}

// take takes the oldest who still wait. The lock is held.
func (l *lookups[T]) take() []*lookup[T] {
	var batch []*lookup[T]
	taken := 0
	for _, w := range l.waiting {
		if len(batch) == maxTokenBatch {
			break
		}
		taken++
		if w.ctx.Err() == nil { // else nobody waits for it
			batch = append(batch, w)
		}
	}
	clear(l.waiting[:taken])
	l.waiting = l.waiting[taken:]
	return batch
}

// answer makes the statement. Alone, a caller who hangs up ends it; a shared one goes on for the others.
func (l *lookups[T]) answer(batch []*lookup[T]) (found map[Hash]*T, err error) {
	defer func() {
		if r := recover(); r != nil { // the callers must not wait for ever
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

// forget calls drop, which takes something away from what is remembered, at a moment when no result that may be older can be
// remembered behind it.
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
