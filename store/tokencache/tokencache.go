// Package tokencache caches tokens by the hash of their secret. It looks up tokens that are not in the cache, many in one statement.
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

const maxEntries = 10_000 // known tokens, and as many unknown ones

// Cache caches tokens. Unknown tokens are in a cache of their own, so that a flood of them evicts no known one.
type Cache[T any] struct {
	known, unknown *otter.Cache[Hash, *T]
	lookups        lookups[T]
	hits, misses   atomic.Uint64
}

// New returns an empty cache. It keeps tokens for ttl. find looks up tokens and omits unknown ones from its result.
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
		MaximumSize:      maxEntries,
		ExpiryCalculator: otter.ExpiryWriting[Hash, *T](ttl),
	})
}

// Get returns a token from the cache, and whether the hash is in the cache. The token is nil if it is known not to exist.
func (c *Cache[T]) Get(hash Hash) (*T, bool) {
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

// LookUp looks up a token that is not in the cache and puts the result into the cache. It returns nil if there is no such token, and
// ErrFull if too many tokens wait.
func (c *Cache[T]) LookUp(ctx context.Context, hash Hash) (*T, error) {
	return c.lookups.lookUp(ctx, hash, c.put)
}

// put stores the result of a look-up. nil means that there is no such token, so that an unknown token does not cost a look-up for each
// request.
func (c *Cache[T]) put(hash Hash, token *T) {
	if token != nil {
		c.known.Set(hash, token)
	} else {
		c.unknown.Set(hash, nil)
	}
}

// Forget removes tokens from the cache. A look-up in flight cannot put an old result back.
func (c *Cache[T]) Forget(hashes ...Hash) {
	c.lookups.forget(func() {
		for _, hash := range hashes {
			c.known.Invalidate(hash)
			c.unknown.Invalidate(hash)
		}
	})
}

// Clear removes all tokens from the cache. A look-up in flight cannot put an old result back.
func (c *Cache[T]) Clear() {
	c.lookups.forget(func() {
		c.known.InvalidateAll()
		c.unknown.InvalidateAll()
	})
}

// Stats has the size of the cache, and its counts since New.
type Stats struct {
	Entries int    // approximately
	Hits    uint64 // requests whose token was in the cache, known or unknown
	Misses  uint64 // requests whose token had to be looked up

	Statements uint64 // that looked up tokens
	Refused    uint64 // requests that failed with ErrFull
}

// Stats returns the statistics.
func (c *Cache[T]) Stats() Stats {
	stats := Stats{
		Entries: c.known.EstimatedSize() + c.unknown.EstimatedSize(), Hits: c.hits.Load(), Misses: c.misses.Load(),
	}
	stats.Statements, stats.Refused = c.lookups.counts()
	return stats
}
