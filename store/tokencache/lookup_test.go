package tokencache

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

type token struct{}

// gatedTokens is a database of tokens. The test decides when its statements end.
type gatedTokens struct {
	begun chan []Hash   // receives the hashes of each statement
	end   chan struct{} // lets one statement end; closed: all of them
	known map[Hash]*token
}

func (g *gatedTokens) find(ctx context.Context, hashes []Hash) (map[Hash]*token, error) {
	g.begun <- slices.Clone(hashes)
	select {
	case <-g.end:
		return g.known, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func hashOf(i int) (hash Hash) {
	hash[0], hash[1], hash[31] = byte(i), byte(i>>8), 1
	return hash
}

// waitFor returns when this many callers wait.
func (l *lookups[T]) waitFor(n int) {
	for {
		l.mu.Lock()
		waiting := len(l.waiting)
		l.mu.Unlock()
		if waiting == n {
			return
		}
		runtime.Gosched()
	}
}

// TestTokenLookupsShareStatements looks up a flood of tokens while two statements are in flight. Waiting tokens share statements of at most
// a thousand, with each hash once. A token beyond the queue is refused without a statement. The valid token among them is found.
func TestTokenLookupsShareStatements(t *testing.T) {
	t.Parallel()
	good := hashOf(1500)
	g := &gatedTokens{begun: make(chan []Hash, 100), end: make(chan struct{}), known: map[Hash]*token{good: {}}}
	l := &lookups[token]{find: g.find}
	cached := map[Hash]*token{} // put is called under the lock
	put := func(hash Hash, token *token) { cached[hash] = token }
	var all sync.WaitGroup
	ask := func(i int) {
		all.Go(func() {
			token, err := l.lookUp(t.Context(), hashOf(i), put)
			if err != nil || (token != nil) != (hashOf(i) == good) {
				t.Errorf("%d: %v, %v", i, token, err)
			}
		})
	}
	for i := range maxTokenStatements {
		ask(i)
		<-g.begun
	}
	for i := range maxTokenQueue {
		ask(maxTokenStatements + i/2) // each twice
	}
	l.waitFor(maxTokenQueue)
	_, err := l.lookUp(t.Context(), hashOf(60000), put)
	if !errors.Is(err, ErrFull) {
		t.Errorf("a token beyond the queue: %v", err)
	}
	close(g.end)
	all.Wait()
	l.waitFor(0)
	statements, refused := l.counts()
	if want := uint64(maxTokenStatements + (maxTokenQueue+maxTokenBatch-1)/maxTokenBatch); statements != want || refused != 1 {
		t.Errorf("%d statements, %d refused; want %d and 1", statements, refused, want)
	}
	asked := 0
	for len(g.begun) > 0 {
		hashes := <-g.begun
		asked += len(hashes)
		if len(hashes) > maxTokenBatch {
			t.Errorf("a statement has %d tokens", len(hashes))
		}
	}
	if asked > maxTokenQueue*3/4 {
		t.Errorf("the statements have %d hashes, for %d different tokens", asked, maxTokenQueue/2)
	}
	if len(cached) != maxTokenStatements+maxTokenQueue/2 || cached[good] == nil {
		t.Errorf("%d tokens are cached, the valid one as %v", len(cached), cached[good])
	}
}

// TestTokenLookupsForget changes a token during its look-up. The result is returned and not cached.
func TestTokenLookupsForget(t *testing.T) {
	t.Parallel()
	g := &gatedTokens{begun: make(chan []Hash, 1), end: make(chan struct{}), known: map[Hash]*token{hashOf(1): {}}}
	l := &lookups[token]{find: g.find}
	cached, dropped := 0, 0
	ask := func(during func()) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			if token, err := l.lookUp(t.Context(), hashOf(1), func(Hash, *token) { cached++ }); token == nil || err != nil {
				t.Errorf("%v, %v", token, err)
			}
		}()
		<-g.begun
		during()
		g.end <- struct{}{}
		<-done
	}
	ask(func() { l.forget(func() { dropped++ }) })
	if cached != 0 || dropped != 1 {
		t.Errorf("cached %d times, dropped %d times", cached, dropped)
	}
	ask(func() {})
	if cached != 1 {
		t.Errorf("cached %d times although nothing had changed", cached)
	}
}

// TestCanceledTokenLookups cancels callers. Statements for one caller end, and waiting tokens are not looked up.
func TestCanceledTokenLookups(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gatedTokens{begun: make(chan []Hash, 10), end: make(chan struct{})}
		l := &lookups[token]{find: g.find}
		canceled, cancel := context.WithCancel(t.Context())
		for i := range maxTokenStatements + 5 {
			go func() {
				if _, err := l.lookUp(canceled, hashOf(i), func(Hash, *token) {}); !errors.Is(err, context.Canceled) {
					t.Errorf("%d: %v", i, err)
				}
			}()
			synctest.Wait()
		}
		if len(l.waiting) != 5 {
			t.Errorf("%d wait", len(l.waiting))
		}
		cancel()
		synctest.Wait()
		if statements, _ := l.counts(); statements != maxTokenStatements || l.running != 0 || len(l.waiting) != 0 {
			t.Errorf("%d statements, %d in flight, %d tokens wait", statements, l.running, len(l.waiting))
		}
	})
}
