package ratelimit

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
)

func bucketOf(token, client int) Key {
	return Key{uuid.UUID{15: byte(token)}, numbered(client)}
}

func numbered(n int) uuid.UUID {
	return uuid.UUID{0: 1, 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)}
}

// In any period at most the burst and the requests earned in it are allowed. A request that waits for Next is allowed, and so are
// Left more requests.
func TestLimiterRate(t *testing.T) {
	t.Parallel()
	for _, limit := range []struct{ rate, burst int }{{1, 1}, {3, 1}, {7, 20}, {1000, 5}, {100_000, 100_000}} {
		for seed := range uint64(20) {
			synctest.Test(t, func(t *testing.T) {
				l := New(limit.rate, limit.burst, time.Now)
				allowed := takeAtRandomTimes(t, l, rand.New(rand.NewPCG(seed, 1)))
				for from := range allowed {
					for _, to := range []int{from, from + 1, from + limit.burst, from + 500, len(allowed) - 1} {
						if to < from || to >= len(allowed) {
							continue
						}
						took := allowed[to].Sub(allowed[from])
						if earned := float64(took) / float64(l.interval); float64(to-from+1) > float64(limit.burst)+earned+1e-6 {
							t.Fatalf("%v: allowed %d in %v", limit, to-from+1, took)
						}
					}
				}
			})
		}
	}
}

// takeAtRandomTimes takes requests out of one bucket and returns the times of those that were allowed.
func takeAtRandomTimes(t *testing.T, l *Limiter, random *rand.Rand) (allowed []time.Time) {
	t.Helper()
	key := bucketOf(1, 1)
	for range 2000 {
		time.Sleep(time.Duration(random.Int64N(int64(3 * l.interval))))
		q := l.Take(key)
		if !q.OK {
			time.Sleep(q.Next - time.Nanosecond)
			if early := l.Take(key); early.OK {
				t.Fatal("allowed before Next")
			}
			time.Sleep(time.Nanosecond)
			if q = l.Take(key); !q.OK {
				t.Fatalf("refused after waiting Next, %v", q.Next)
			}
		}
		allowed = append(allowed, time.Now())
		for range min(q.Left, random.Int64N(4)) {
			if q = l.Take(key); !q.OK {
				t.Fatal("refused although Left was not 0")
			}
			allowed = append(allowed, time.Now())
		}
	}
	return allowed
}

// Concurrent requests share one burst, and none is counted twice or lost.
func TestLimiterConcurrently(t *testing.T) {
	t.Parallel()
	started := time.Now()
	l := New(1, 500, func() time.Time { return started })
	var served atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200 {
				if l.Take(bucketOf(1, 1)).OK {
					served.Add(1)
				}
			}
		})
	}
	all.Wait()
	if served.Load() != 500 {
		t.Errorf("allowed %d", served.Load())
	}
}

// The number of buckets is bounded, however many clients are named. A token that exceeds the bound gets no more requests for it,
// and other tokens keep their buckets. When buckets are full again, they are dropped.
func TestLimiterIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testLimiterIsBounded)
}

func testLimiterIsBounded(t *testing.T) {
	t.Helper()
	l := New(1, 2, time.Now)
	mine := bucketOf(shardCount+1, 1) // in the shard of token 1
	if q := l.Take(mine); q.Left != 1 {
		t.Fatalf("%+v", q)
	}
	served := 0
	for client := range 100_000 {
		if l.Take(bucketOf(1, client)).OK {
			served++
		}
	}
	if want := bucketsPerShard - 1 + 2; served != want { // one bucket is mine, one is token 1's without a client
		t.Errorf("allowed %d, want %d", served, want)
	}
	if q := l.Take(mine); !q.OK || q.Left != 0 {
		t.Errorf("%+v", q)
	}
	buckets := 0
	for i := range l.shards {
		buckets += len(l.shards[i].fullAt)
	}
	if buckets != bucketsPerShard+1 {
		t.Errorf("%d buckets", buckets)
	}
	time.Sleep(time.Minute)
	for client := range 1000 {
		if q := l.Take(bucketOf(1, 200_000+client)); q.Left != 1 {
			t.Fatalf("%+v", q)
		}
	}
	if n := len(l.shards[1].fullAt); n != 1000 {
		t.Errorf("%d buckets after a minute", n)
	}
}

func BenchmarkLimiter(b *testing.B) {
	l := New(100, 1000, time.Now)
	b.RunParallel(func(pb *testing.PB) {
		for n := 0; pb.Next(); n++ {
			l.Take(bucketOf(n%100, n%1000))
		}
	})
}
