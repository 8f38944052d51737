// Package capacity bounds what requests take of a server at the same moment: how many are served, and how much memory their bodies
// need. A request that finds no capacity is refused at once. A queue would hold memory, and serve requests whose clients have given up.
package capacity

import (
	"sync"

	"github.com/google/uuid"
)

// Requests bounds how many requests are served at once. Half of the places are the most that one token may take, so that it leaves
// room for others. Only requests with a valid token should take places: made-up tokens then cannot use them up.
type Requests struct {
	most    int // of all
	ofToken int // of one token

	mu      sync.Mutex
	all     int
	byToken map[uuid.UUID]int
}

// NewRequests makes the bound for so many requests.
func NewRequests(most int) *Requests {
	return &Requests{most: most, ofToken: max(1, most/2), byToken: map[uuid.UUID]int{}}
}

// Acquire takes a place for a request of this token, or returns a FullError. Release gives it back.
func (q *Requests) Acquire(token uuid.UUID) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.all >= q.most:
		return errRequests
	case q.byToken[token] >= q.ofToken:
		return errRequestsOfToken
	}
	q.all++
	q.byToken[token]++
	return nil
}

// Release gives a place back.
func (q *Requests) Release(token uuid.UUID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.all--
	if q.byToken[token]--; q.byToken[token] == 0 {
		delete(q.byToken, token)
	}
}

// Count returns the number of requests that have a place.
func (q *Requests) Count() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.all
}
