// Package ratelimit implements token buckets by key, and the header fields RateLimit-Policy and RateLimit
// (draft-ietf-httpapi-ratelimit-headers-11).
package ratelimit

import (
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Bounds of the limiter's memory: 65,536 buckets, which take about 6 MiB, and one more for each token.
const (
	shardCount      = 16
	bucketsPerShard = 4096
)

// Limiter gives each token a bucket of requests for each client, and one for operations without a client. A full bucket allows a
// burst; it fills at the rate. Take never waits, and tokens do not share buckets.
type Limiter struct {
	interval time.Duration // in which one request is earned
	capacity time.Duration // in which an empty bucket fills
	policy   []string
	clock    func() time.Time
	start    time.Time
	shards   [shardCount]shard
}

// shard holds the buckets of some of the tokens. A bucket is the time when it is full again (the generic cell rate algorithm), so
// a full bucket need not be stored.
type shard struct {
	mu      sync.Mutex
	fullAt  map[Key]time.Duration // time since the limiter's start
	sweptAt time.Duration
}

// Key identifies a bucket: of a token for a client, or with the zero client for operations without a client.
type Key struct{ Token, Client uuid.UUID }

// Quota is the state of a bucket after one request.
type Quota struct {
	OK   bool          // the request is allowed
	Left int64         // requests that are still allowed
	Next time.Duration // until one more request is allowed
}

// New makes a limiter with this many requests a second for each key, and this many at once. It returns nil for a rate of 0, which
// is no limit.
func New(rate, burst int, clock func() time.Time) *Limiter {
	if rate <= 0 {
		return nil
	}
	burst = max(burst, 1)
	l := &Limiter{interval: time.Second / time.Duration(rate), clock: clock, start: clock()}
	l.capacity = time.Duration(burst) * l.interval
	l.policy = []string{`"default";q=` + strconv.Itoa(burst) + `;w=` + strconv.FormatInt(Seconds(l.capacity), 10)}
	for i := range l.shards {
		l.shards[i].fullAt = map[Key]time.Duration{}
	}
	return l
}

// Take takes one request out of a bucket, if there is one left.
func (l *Limiter) Take(key Key) Quota {
	now := l.clock().Sub(l.start) // monotonic: setting the system time does not extend a wait
	s := &l.shards[key.Token[len(key.Token)-1]%shardCount]
	s.mu.Lock()
	defer s.mu.Unlock()
	key = s.bucketFor(key, now, l.capacity)
	fullAt := max(s.fullAt[key], now)
	available := l.capacity - (fullAt - now)
	if available < l.interval {
		return Quota{Next: l.interval - available}
	}
	available -= l.interval
	s.fullAt[key] = fullAt + l.interval
	left := int64(available / l.interval)
	return Quota{OK: true, Left: left, Next: time.Duration(left+1)*l.interval - available}
}

// Policy returns the value of RateLimit-Policy. The caller must not change the slice.
func (l *Limiter) Policy() []string { return l.policy }

// Field returns the value of RateLimit.
func (q Quota) Field() string {
	return `"default";r=` + strconv.FormatInt(q.Left, 10) + `;t=` + strconv.FormatInt(Seconds(q.Next), 10)
}

// bucketFor returns the key to use for a bucket. When a shard is full, further clients of a token share the token's bucket
// without a client, so that a new client id does not get a new bucket.
func (s *shard) bucketFor(key Key, now, capacity time.Duration) Key {
	if _, ok := s.fullAt[key]; ok || len(s.fullAt) < bucketsPerShard {
		return key
	}
	// The search for full buckets costs more than a request, so it runs at most four times while a bucket fills.
	if now-s.sweptAt > capacity/4 {
		s.sweptAt = now
		for k, fullAt := range s.fullAt {
			if fullAt <= now {
				delete(s.fullAt, k)
			}
		}
	}
	if len(s.fullAt) >= bucketsPerShard {
		key.Client = uuid.Nil
	}
	return key
}

// Seconds rounds up, so that Retry-After is never too early.
func Seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
