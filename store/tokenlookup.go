package store

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store/tenant"
)

// Bounds of what tokens that are not remembered cost the database. A token's checksum can be computed by anybody, so each
// request of an attacker brings one more.
const (
	maxTokenQueue      = 4096 // tokens that wait to be looked up; one more is refused
	maxTokenBatch      = 1000 // tokens in one statement
	maxTokenStatements = 2    // at once
)

var errTokenQueue = errors.New("too many tokens wait to be looked up")

// tokenLookups looks up tokens that are not remembered. Those that wait at the same moment share a statement, so a flood of
// unknown tokens costs a statement for each thousand, and a good one among them waits no longer than the others.
type tokenLookups struct {
	find func(ctx context.Context, hashes []tokenHash) (map[tokenHash]*Token, error)

	mu         sync.Mutex
	waiting    []*tokenLookup
	running    int    // statements under way
	generation uint64 // how often something was forgotten
	statements uint64
	refused    uint64
}

// tokenLookup is one caller who waits for a token.
type tokenLookup struct {
	ctx   context.Context
	hash  tokenHash
	done  chan struct{} // closed when token and err are set
	token *Token        // nil: there is none
	err   error
}

// lookUp returns the token with this hash, nil for none. remember is called with what was found, unless forget was called
// meanwhile: then it may be out of date. UnavailableError says that too many wait, or what the statement failed with.
func (l *tokenLookups) lookUp(ctx context.Context, hash tokenHash, remember func(tokenHash, *Token)) (*Token, error) {
	w := &tokenLookup{ctx: ctx, hash: hash, done: make(chan struct{})}
	l.mu.Lock()
	if len(l.waiting) >= maxTokenQueue {
		l.refused++
		l.mu.Unlock()
		return nil, &UnavailableError{reason: ReasonTokens, cause: errTokenQueue}
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
func (l *tokenLookups) run(remember func(tokenHash, *Token)) {
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
func (l *tokenLookups) take() []*tokenLookup {
	var batch []*tokenLookup
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
func (l *tokenLookups) answer(batch []*tokenLookup) (found map[tokenHash]*Token, err error) {
	defer func() {
		if r := recover(); r != nil { // the callers must not wait for ever
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	ctx := batch[0].ctx
	if len(batch) > 1 {
		ctx = context.WithoutCancel(ctx)
	}
	hashes := make([]tokenHash, 0, len(batch))
	seen := make(map[tokenHash]bool, len(batch))
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
func (l *tokenLookups) forget(drop func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.generation++
	drop()
}

func (l *tokenLookups) counts() (statements, refused uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.statements, l.refused
}

// findTokens reads the tokens with these hashes, and which clients they cover.
func (s *Store) findTokens(ctx context.Context, hashes []tokenHash) (map[tokenHash]*Token, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var tokens []Token
	sums := make([][]byte, len(hashes))
	for i := range hashes {
		sums[i] = hashes[i][:]
	}
	if err := whereIn(s.read.WithContext(ctx), "hash", sums).Find(&tokens).Error; err != nil {
		return nil, s.translate("find tokens", err)
	}
	if len(tokens) == 0 {
		return nil, nil //nolint:nilnil // no map has no tokens
	}
	found, byID, ids := map[tokenHash]*Token{}, map[uuid.UUID]*Token{}, make([]uuid.UUID, len(tokens))
	for i := range tokens {
		token := &tokens[i]
		found[tokenHash(token.Hash)], byID[token.ID], ids[i] = token, token, token.ID
	}
	var covered []TokenClient
	clients := tenant.CrossTenant(s.read.WithContext(ctx), "a token says which clients it covers")
	if err := whereIn(clients, "token_id", ids).Order("client_id").Find(&covered).Error; err != nil {
		return nil, s.translate("find tokens", err)
	}
	for _, c := range covered {
		byID[c.TokenID].ClientIDs = append(byID[c.TokenID].ClientIDs, c.ClientID)
	}
	return found, nil
}
