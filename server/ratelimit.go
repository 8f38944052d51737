package server

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/clientapps/clientapps/gen"
)

// Bounds of the limiter's memory: 65,536 buckets, which are some 6 MiB, and one more for each token.
const (
	limiterShards   = 16
	bucketsPerShard = 4096
)

// limiter gives each token a bucket of requests for each client that it works for, and one for what names no client. A full
// bucket lets a burst through at once; what was taken is earned again at the rate. Nobody waits here, and no token can take
// from another's bucket.
type limiter struct {
	interval time.Duration // in which one request is earned
	capacity time.Duration // in which an empty bucket fills
	policy   []string      // the field RateLimit-Policy
	clock    func() time.Time
	start    time.Time
	shards   [limiterShards]limiterShard
}

// limiterShard holds the buckets of some of the tokens. A bucket is the moment at which it is full again (the generic cell
// rate algorithm), so one that is full need not be there.
type limiterShard struct {
	mu     sync.Mutex
	fullAt map[bucketKey]time.Duration // since the limiter's start
	swept  time.Duration
}

type bucketKey struct{ token, client uuid.UUID }

// quota is what a bucket has to say about one request.
type quota struct {
	ok   bool          // the request was in it
	left int64         // how many more there are
	next time.Duration // when there is one more than that
}

// newLimiter returns nil where there is no limit: a rate of 0.
func newLimiter(rate, burst int, clock func() time.Time) *limiter {
	if rate <= 0 {
		return nil
	}
	burst = max(burst, 1)
	l := &limiter{interval: time.Second / time.Duration(rate), clock: clock, start: clock()}
	l.capacity = time.Duration(burst) * l.interval
	l.policy = []string{`"default";q=` + strconv.Itoa(burst) + `;w=` + strconv.FormatInt(wholeSeconds(l.capacity), 10)}
	for i := range l.shards {
		l.shards[i].fullAt = map[bucketKey]time.Duration{}
	}
	return l
}

// take takes a request out of a bucket, if there is one.
func (l *limiter) take(key bucketKey) quota {
	now := l.clock().Sub(l.start) // by the monotonic clock: nobody waits longer because the time was set
	shard := &l.shards[key.token[len(key.token)-1]%limiterShards]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	key = shard.place(key, now, l.capacity)
	fullAt := max(shard.fullAt[key], now)
	has := l.capacity - (fullAt - now)
	if has < l.interval {
		return quota{next: l.interval - has}
	}
	has -= l.interval
	shard.fullAt[key] = fullAt + l.interval
	left := int64(has / l.interval)
	return quota{ok: true, left: left, next: time.Duration(left+1)*l.interval - has}
}

// place finds room for a bucket. When there is none, because a shard's tokens work for more clients at once than it
// has buckets, further clients of a token share the one that names no client: a new name must not be a way to a new bucket.
func (s *limiterShard) place(key bucketKey, now, capacity time.Duration) bucketKey {
	if _, ok := s.fullAt[key]; ok || len(s.fullAt) < bucketsPerShard {
		return key
	}
	// Looking for those that are full again costs more than a request, so it is done four times while a bucket fills.
	if now-s.swept > capacity/4 {
		s.swept = now
		for k, fullAt := range s.fullAt {
			if fullAt <= now {
				delete(s.fullAt, k)
			}
		}
	}
	if len(s.fullAt) >= bucketsPerShard {
		key.client = uuid.Nil
	}
	return key
}

// limit counts a request of an operation, and refuses it with 429 when the token has made too many for this client. What is
// left of the limit goes into the answer, whatever becomes of the request.
func (s *Server) limit(c echo.Context, op *operation, token uuid.UUID) error {
	if s.limiter == nil {
		return nil
	}
	key := bucketKey{token: token}
	if op.perClient {
		key.client, _ = uuid.Parse(c.Param("client_id")) // a malformed one is refused further on
	}
	q := s.limiter.take(key)
	next := strconv.FormatInt(wholeSeconds(q.next), 10)
	header := c.Response().Header()
	// By the names that net/http makes of RateLimit-Policy and RateLimit, so that it need not.
	header["Ratelimit-Policy"] = s.limiter.policy
	header["Ratelimit"] = []string{`"default";r=` + strconv.FormatInt(q.left, 10) + `;t=` + next}
	if q.ok {
		return nil
	}
	return &Error{
		Status: http.StatusTooManyRequests, Code: gen.ErrorCodeRateLimited, Message: "Too many requests",
		Header: http.Header{"Retry-After": {next}}, Cause: CauseRate,
	}
}

// systemClock is the clock unless a test has another. Its times have the monotonic reading that limits go by.
func systemClock() time.Time { return time.Now() }

// wholeSeconds rounds up: who waits so long has waited long enough.
func wholeSeconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
