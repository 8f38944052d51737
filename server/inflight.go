package server

import (
	"errors"
	"sync"

	"github.com/google/uuid"
)

// inFlight bounds how many requests of the API are served at once. One more is refused with 503 before its body is
// read: queued, it would wait, hold memory, and be too late for its client when its turn comes.
type inFlight struct {
	most    int // of all
	ofToken int // of one token: the others find room, whatever that one does

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

// acquire takes a place for a request of this token, if there is one. release gives it back. Who has no token gets no place:
// inventing them takes none away.
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

// count is how many requests have a place.
func (f *inFlight) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.all
}
