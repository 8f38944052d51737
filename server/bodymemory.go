package server

import (
	"errors"
	"net/http"
	"sync"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/server/schemas"
)

// bodyMemory bounds the memory that request bodies take together, in bytes. A request takes what its body may need before
// the body is read. One that finds too little left is refused with 503 and not queued, for the same reasons as one request
// in flight too many.
type bodyMemory struct {
	most    int64 // of all
	ofToken int64 // of one token: the others find room, whatever that one sends

	mu      sync.Mutex
	all     int64
	byToken map[uuid.UUID]int64
}

// tokenShare is how many tokens it takes to use up the memory for bodies.
const tokenShare = 4

var (
	errBodyMemory        = errors.New("too much memory in use for request bodies")
	errBodyMemoryOfToken = errors.New("too much memory in use for request bodies of this token")
)

// newBodyMemory makes sure that a token's share is enough for the largest body.
func newBodyMemory(most int64) *bodyMemory {
	ofToken := max(most/tokenShare, memoryOf(maxBody))
	return &bodyMemory{most: max(most, ofToken), ofToken: ofToken, byToken: map[uuid.UUID]int64{}}
}

// take takes memory, if there is enough. giveBack returns it, all at once or in parts.
func (m *bodyMemory) take(token uuid.UUID, bytes int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.byToken[token]+bytes > m.ofToken:
		return errUnavailable(CauseTokenBodies, errBodyMemoryOfToken)
	case m.all+bytes > m.most:
		return errUnavailable(CauseBodies, errBodyMemory)
	}
	m.all += bytes
	m.byToken[token] += bytes
	return nil
}

func (m *bodyMemory) giveBack(token uuid.UUID, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all -= bytes
	if m.byToken[token] -= bytes; m.byToken[token] == 0 {
		delete(m.byToken, token)
	}
}

const (
	// nodeMemory is what a value or name takes at most when it is decoded, in bytes: a third of an object with one field.
	nodeMemory = 128
	// smallBody is a length in bytes up to which bodies are not counted: the bound on requests in flight bounds them, too.
	smallBody = 1 << 10
)

// memoryOf is what a body of this length may take while it is read, decoded and checked. All but one of its values and names
// have two bytes of it at least.
func memoryOf(length int64) int64 {
	return memoryOfDecoded(length, int(min(length/2+1, schemas.MaxNodes)))
}

// memoryOfDecoded is what a body takes that has so many values and names: its bytes, its texts, and for the time that a
// long number is read a second copy of it.
func memoryOfDecoded(length int64, nodes int) int64 { return 3*length + int64(nodes)*nodeMemory }

// memoryFor is what to take for the body of a request before it is read. One of unknown length may be the largest, and one
// that is too large will not be read.
func (op *operation) memoryFor(r *http.Request) int64 {
	switch {
	case op.body == nil || r.ContentLength > maxBody || 0 <= r.ContentLength && r.ContentLength <= smallBody:
		return 0
	case r.ContentLength < 0:
		return memoryOf(maxBody)
	}
	return memoryOf(r.ContentLength)
}

// discardBody reads a body that is refused for want of memory: a client that is still writing when the connection ends may
// never see the answer. One that waits for 100 Continue has not begun to write.
func discardBody(r *http.Request) {
	if r.Header.Get("Expect") != "" {
		return
	}
	buffer, ok := discarded.Get().(*[discardSize]byte)
	if !ok {
		buffer = new([discardSize]byte)
	}
	defer discarded.Put(buffer)
	for left := maxBody; left > 0; {
		n, err := r.Body.Read(buffer[:])
		if err != nil {
			return
		}
		left -= n
	}
}

// discardSize is how many bytes are thrown away at once: a call of the system for each few would cost more than the rest.
const discardSize = 64 << 10

// discarded has buffers of discardSize.
var discarded sync.Pool
