// Package tokencache remembers tokens by the hash of their secret, and looks up those that it does not remember, many in one
// statement.
package tokencache

import (
	"context"
	"crypto/sha256"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
)

// Hash is the SHA-256 of a secret.
type Hash [sha256.Size]byte

const maxRemembered = 10_000 // tokens of either kind

// Cache remembers tokens. Those that there are not have a place of their own, so that inventing them drives out none that there is.
type Cache[T any] struct {
	known, unknown *otter.Cache[Hash, *T]
	lookups        lookups[T]
	hits, misses   atomic.Uint64
}

// New returns an empty cache. A token is remembered for the given time; find looks up tokens, and leaves out those that there are
// not.
func New[T any](ttl time.Duration, find func(ctx context.Context, hashes []Hash) (map[Hash]*T, error)) (*Cache[T], error) {
	known, err := newCache[T](ttl)
	if err != nil {
		return nil, err
	}
	unknown, err := newCache[T](ttl)
	return &Cache[T]{known: known, unknown: unknown, lookups: lookups[T]{find: find}}, err
}

func newCache[T any](ttl time.Duration) (*otter.Cache[Hash, *T], error) {
	return otter.New(&otter.Options[Hash, *T]{
		MaximumSize:      maxRemembered,
		ExpiryCalculator: otter.ExpiryWriting[Hash, *T](ttl),
	})
}

// Remembered returns a token that is remembered; nil with true says that there is none.
func (c *Cache[T]) Remembered(hash Hash) (*T, bool) {
	token, ok := c.known.GetIfPresent(hash)
	if !ok {
		token, ok = c.unknown.GetIfPresent(hash)
	}
	if ok {
		c.hits.Add(1)
	} else {
		c.misses.Add(1)
	}
	return token, ok
}

// LookUp finds a token that is not remembered, and remembers it; nil for none. ErrFull says that too many wait.
func (c *Cache[T]) LookUp(ctx context.Context, hash Hash) (*T, error) {
	return c.lookups.lookUp(ctx, hash, c.remember)
}

// remember keeps a token, or with nil that there is none: that costs one look-up in a while, not one a request.
func (c *Cache[T]) remember(hash Hash, token *T) {
	if token != nil {
		c.known.Set(hash, token)
	} else {
		c.unknown.Set(hash, nil)
	}
}

// Forget makes the next request for a token look it up. No look-up that is under way can bring back what was before.
func (c *Cache[T]) Forget(hash Hash) {
	c.lookups.forget(func() {
		c.known.Invalidate(hash)
		c.unknown.Invalidate(hash)
	})
}

// Stats is what the cache has, and what it has done since New.
type Stats struct {
	Entries int    // about
	Hits    uint64 // requests whose token was remembered, known or not
	Misses  uint64 // requests whose token had to be looked up

	Statements uint64 // that looked up tokens, each as many as waited
	Refused    uint64 // requests whose token found too many waiting
}

// Stats returns the statistics.
func (c *Cache[T]) Stats() Stats {
	stats := Stats{
		Entries: c.known.EstimatedSize() + c.unknown.EstimatedSize(), Hits: c.hits.Load(), Misses: c.misses.Load(),
	}
	stats.Statements, stats.Refused = c.lookups.counts()
	return stats
}
