// Package ratelimit has token buckets by key, and what the header fields RateLimit-Policy and RateLimit say of them
// (draft-ietf-httpapi-ratelimit-headers-11).
package ratelimit

import (
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Bounds of the limiter's memory: 65,536 buckets, which are some 6 MiB, and one more for each token.
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

// shard holds the buckets of some of the tokens. A bucket is the moment at which it is full again (the generic cell
// rate algorithm), so one that is full need not be there.
type shard struct {
	mu     sync.Mutex
	fullAt map[Key]time.Duration // since the limiter's start
	swept  time.Duration
}

// Key names a bucket: of a token for a client, or with the zero client for what names none.
type Key struct{ Token, Client uuid.UUID }

// Quota is what a bucket has to say about one request.
type Quota struct {
	OK   bool          // the request was in it
	Left int64         // how many more there are
	Next time.Duration // when there is one more than that
}

// New makes a limiter of so many requests a second for each key, and so many at once. It returns nil where there is no limit: a
// rate of 0.
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
	now := l.clock().Sub(l.start) // by the monotonic clock: nobody waits longer because the time was set
	s := &l.shards[key.Token[len(key.Token)-1]%shardCount]
	s.mu.Lock()
	defer s.mu.Unlock()
	key = s.place(key, now, l.capacity)
	fullAt := max(s.fullAt[key], now)
	has := l.capacity - (fullAt - now)
	if has < l.interval {
		return Quota{Next: l.interval - has}
	}
	has -= l.interval
	s.fullAt[key] = fullAt + l.interval
	left := int64(has / l.interval)
	return Quota{OK: true, Left: left, Next: time.Duration(left+1)*l.interval - has}
}

// Policy returns the field RateLimit-Policy. It is shared: do not write to it.
func (l *Limiter) Policy() []string { return l.policy }

// Field returns the field RateLimit.
func (q Quota) Field() string {
	return `"default";r=` + strconv.FormatInt(q.Left, 10) + `;t=` + strconv.FormatInt(Seconds(q.Next), 10)
}

// place finds room for a bucket. When a shard has no room, further clients of a token share the token's bucket without a client, so
// that a new client id does not bring a new bucket.
func (s *shard) place(key Key, now, capacity time.Duration) Key {
	if _, ok := s.fullAt[key]; ok || len(s.fullAt) < bucketsPerShard {
		return key
	}
	// The search for full buckets costs more than a request, so it runs four times in the time that a bucket takes to fill.
	if now-s.swept > capacity/4 {
		s.swept = now
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
