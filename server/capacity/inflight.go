// Package capacity bounds the requests in flight and the memory of their bodies. A request beyond the capacity is refused at
// once: a queue would hold memory, and serve requests whose clients have given up.
package capacity

import (
	"sync"

	"github.com/google/uuid"
)

// Requests bounds the number of requests in flight. One token can have at most half of the places, so that others have room. Call
// it only for requests with a valid token: made-up tokens then cannot use up the places.
type Requests struct {
	limit    int // for all tokens
	perToken int // for one token

	full, fullOfToken *FullError

	mu      sync.Mutex
	total   int
	byToken map[uuid.UUID]int
}

// NewRequests makes a bound of this many requests.
func NewRequests(limit int) *Requests {
	return newRequests(limit, errRequests, errRequestsOfToken)
}

// NewStreams makes a bound of this many streams.
func NewStreams(limit int) *Requests { return newRequests(limit, errStreams, errStreamsOfToken) }

// NewTransfers makes a bound of this many exports and imports.
func NewTransfers(limit int) *Requests { return newRequests(limit, errTransfers, errTransfersOfToken) }

func newRequests(limit int, full, fullOfToken *FullError) *Requests {
	return &Requests{limit: limit, perToken: max(1, limit/2), full: full, fullOfToken: fullOfToken, byToken: map[uuid.UUID]int{}}
}

// Acquire takes a place for a request of this token, or returns a FullError. The caller must Release it.
func (q *Requests) Acquire(token uuid.UUID) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.total >= q.limit:
		return q.full
	case q.byToken[token] >= q.perToken:
		return q.fullOfToken
	}
	q.total++
	q.byToken[token]++
	return nil
}

// Release releases a place.
func (q *Requests) Release(token uuid.UUID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.total--
	if q.byToken[token]--; q.byToken[token] == 0 {
		delete(q.byToken, token)
	}
}

// Count returns the number of requests in flight.
func (q *Requests) Count() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.total
}
