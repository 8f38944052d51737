package server

import (
	"errors"
	"net/http"
	"sync"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/server/schemas"
)

// bodyMemory bounds the memory of all request bodies together, in bytes. A request reserves what its body may need before it reads
// the body. When too little is left it is refused with 503, and not queued, as with inFlight.
type bodyMemory struct {
	most    int64 // of all
	ofToken int64 // of one token, so that it leaves room for others

	mu      sync.Mutex
	all     int64
	byToken map[uuid.UUID]int64
}

// tokenShare is how many tokens are needed to use up the memory: each may use 1/tokenShare of it.
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

// take reserves memory, or returns an error. giveBack returns it, all at once or in parts.
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
	// nodeMemory is the most bytes that a decoded value or name needs: a third of an object with one field.
	nodeMemory = 128
	// smallBody is the length in bytes up to which bodies are not counted: inFlight bounds their number.
	smallBody = 1 << 10
)

// memoryOf returns the most bytes that a body of this length needs while it is read, decoded and checked. All but one of its values
// and names take at least two bytes of its text.
func memoryOf(length int64) int64 {
	return memoryOfDecoded(length, int(min(length/2+1, schemas.MaxNodes)))
}

// memoryOfDecoded returns the bytes that a body with this many values and names needs: its text, the decoded texts, and a second copy
// of a long number while it is read.
func memoryOfDecoded(length int64, nodes int) int64 { return 3*length + int64(nodes)*nodeMemory }

// memoryFor returns what to reserve before the body of a request is read. A body of unknown length may have the largest size. One
// that is too large is not read.
func (op *operation) memoryFor(r *http.Request) int64 {
	switch {
	case op.body == nil || r.ContentLength > maxBody || 0 <= r.ContentLength && r.ContentLength <= smallBody:
		return 0
	case r.ContentLength < 0:
		return memoryOf(maxBody)
	}
	return memoryOf(r.ContentLength)
}

// discardBody reads and drops the body of a refused request: a client that is still writing when the connection ends may miss the
// answer. A client that waits for 100 Continue has not begun to write.
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

// discardSize is the size of the buffer in bytes. It is large, so that few system calls are needed.
const discardSize = 64 << 10

// discarded pools buffers of discardSize.
var discarded sync.Pool
