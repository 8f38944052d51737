package capacity

import (
	"sync"

	"github.com/google/uuid"
)

// tokenShare is how many tokens are needed to use up the memory: each may use 1/tokenShare of it.
const tokenShare = 4

// Memory bounds the memory of all request bodies together, in bytes. A request reserves what its body may need before it reads the
// body.
type Memory struct {
	most    int64 // of all
	ofToken int64 // of one token, so that it leaves room for others

	mu      sync.Mutex
	all     int64
	byToken map[uuid.UUID]int64
}

// NewMemory makes the bound for so many bytes. The share of a token is never less than what the largest body needs.
func NewMemory(most, largestBody int64) *Memory {
	ofToken := max(most/tokenShare, largestBody)
	return &Memory{most: max(most, ofToken), ofToken: ofToken, byToken: map[uuid.UUID]int64{}}
}

// Reserve takes memory for a body of this token, or returns a FullError. Release gives it back, all at once or in parts.
func (m *Memory) Reserve(token uuid.UUID, bytes int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.byToken[token]+bytes > m.ofToken:
		return errMemoryOfToken
	case m.all+bytes > m.most:
		return errMemory
	}
	m.all += bytes
	m.byToken[token] += bytes
	return nil
}

// Release gives memory back.
func (m *Memory) Release(token uuid.UUID, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all -= bytes
	if m.byToken[token] -= bytes; m.byToken[token] == 0 {
		delete(m.byToken, token)
	}
}

// nodeMemory is the most bytes that a decoded value or name needs: a third of an object with one field.
const nodeMemory = 128

// BodyMemory returns the bytes that a JSON body with this many values and names needs: its text, the decoded texts, and a second copy of
// a long number while it is read.
func BodyMemory(length int64, nodes int) int64 { return 3*length + int64(nodes)*nodeMemory }

// MaxBodyMemory returns the most bytes that a JSON body of this length may need, of which no more than mostNodes values and names are
// decoded. All but one of them take at least two bytes of its text.
func MaxBodyMemory(length int64, mostNodes int) int64 {
	return BodyMemory(length, int(min(length/2+1, int64(mostNodes))))
}
