package server

import (
	"errors"
	"sync"

	"github.com/google/uuid"
)

// inFlight bounds how many requests of the API are served at once. Further requests are refused with 503 before their body is
// read. A queue would hold memory, and serve them when their clients have given up.
type inFlight struct {
	most    int // of all
	ofToken int // of one token, so that it leaves room for others

	mu      sync.Mutex
	all     int
	byToken map[uuid.UUID]int
}

var (
	errTooManyInFlight = errors.New("too many requests in flight")
	errTooManyOfToken  = errors.New("too many requests of this token in flight")
)

func newInFlight(most int) *inFlight {
	return &inFlight{most: most, ofToken: max(1, most/2), byToken: map[uuid.UUID]int{}}
}

// acquire takes a place for a request of this token, or returns an error. release gives it back. Only requests with a valid token
// take places, so that made-up tokens cannot use them up.
func (f *inFlight) acquire(token uuid.UUID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.all >= f.most:
		return errUnavailable(CausePlaces, errTooManyInFlight)
	case f.byToken[token] >= f.ofToken:
		return errUnavailable(CauseTokenPlaces, errTooManyOfToken)
	}
	f.all++
	f.byToken[token]++
	return nil
}

func (f *inFlight) release(token uuid.UUID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all--
	if f.byToken[token]--; f.byToken[token] == 0 {
		delete(f.byToken, token)
	}
}

// count returns the number of requests that have a place.
func (f *inFlight) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.all
}
