package capacity

import (
	"sync"

	"github.com/google/uuid"
)

// tokenShare is the divisor for the memory of one token: it may use 1/tokenShare of the limit.
const tokenShare = 4

// Memory bounds the total memory of all request bodies, in bytes. A request reserves what its body may need before it reads the
// body.
type Memory struct {
	limit    int64 // for all tokens
	perToken int64 // for one token, so that others have room

	mu      sync.Mutex
	total   int64
	byToken map[uuid.UUID]int64
}

// NewMemory makes a bound of this many bytes. The share of a token is at least maxBodyMemory, the memory of the largest body.
func NewMemory(limit, maxBodyMemory int64) *Memory {
	perToken := max(limit/tokenShare, maxBodyMemory)
	return &Memory{limit: max(limit, perToken), perToken: perToken, byToken: map[uuid.UUID]int64{}}
}

// Reserve reserves memory for a body of this token, or returns a FullError. The caller must Release it, at once or in parts.
func (m *Memory) Reserve(token uuid.UUID, bytes int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.byToken[token]+bytes > m.perToken:
		return errMemoryOfToken
	case m.total+bytes > m.limit:
		return errMemory
	}
	m.total += bytes
	m.byToken[token] += bytes
	return nil
}

// Release releases reserved memory.
func (m *Memory) Release(token uuid.UUID, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total -= bytes
	if m.byToken[token] -= bytes; m.byToken[token] == 0 {
		delete(m.byToken, token)
	}
}

// nodeMemory is the most bytes that a decoded value or name needs: a third of an object with one field.
const nodeMemory = 128

// BodyMemory returns the bytes that a JSON body with this many values and names needs: the text, the decoded strings, and a
// second copy of a long number during parsing.
func BodyMemory(length int64, nodes int) int64 { return 3*length + int64(nodes)*nodeMemory }

// MaxBodyMemory returns the most bytes that a JSON body of this length may need if at most maxNodes values and names are
// decoded. All but one of them take at least two bytes of the text.
func MaxBodyMemory(length int64, maxNodes int) int64 {
	return BodyMemory(length, int(min(length/2+1, int64(maxNodes))))
}
