package capacity

import (
	"errors"
	"testing"

	"github.com/google/uuid"
)

func wantFull(t *testing.T, err error, reason string) {
	t.Helper()
	var full *FullError
	if !errors.As(err, &full) || full.Reason != reason {
		t.Errorf("%v, want a FullError with reason %s", err, reason)
	}
}

// One token gets half of the places, all tokens together get all of them, and a released place can be acquired again.
func TestRequests(t *testing.T) {
	t.Parallel()
	q := NewRequests(4)
	acquire := func(token uuid.UUID) {
		t.Helper()
		if err := q.Acquire(token); err != nil {
			t.Error(err)
		}
	}
	first, second, third := uuid.New(), uuid.New(), uuid.New()
	acquire(first)
	acquire(first)
	wantFull(t, q.Acquire(first), ReasonRequestsOfToken)
	acquire(second)
	acquire(second)
	wantFull(t, q.Acquire(third), ReasonRequests)
	q.Release(first)
	acquire(third)
	wantFull(t, q.Acquire(first), ReasonRequests)
	if q.Count() != 4 {
		t.Errorf("%d are in flight", q.Count())
	}
	for _, token := range []uuid.UUID{first, second, second, third} {
		q.Release(token)
	}
	if q.Count() != 0 || len(q.byToken) != 0 {
		t.Errorf("%v of %d are still reserved", q.byToken, q.total)
	}
	if q := NewRequests(1); q.Acquire(first) != nil { // a token gets at least one place
		t.Error("the first request of a server with one place was refused")
	}
}

// One token gets its share of the memory, all tokens together get all of it, and released memory can be reserved again.
func TestMemory(t *testing.T) {
	t.Parallel()
	const share, largest = 8 << 20, 7 << 20
	m := NewMemory(tokenShare*share, largest)
	tokens := make([]uuid.UUID, tokenShare)
	for i := range tokens {
		tokens[i] = uuid.New()
		for _, bytes := range []int64{share - 1000, 1000} {
			if err := m.Reserve(tokens[i], bytes); err != nil {
				t.Fatal(err)
			}
		}
		wantFull(t, m.Reserve(tokens[i], 1), ReasonMemoryOfToken)
	}
	wantFull(t, m.Reserve(uuid.New(), 1), ReasonMemory)
	m.Release(tokens[0], 1000)
	if err := m.Reserve(uuid.New(), 1000); err != nil {
		t.Error(err)
	}
	wantFull(t, m.Reserve(tokens[0], 1), ReasonMemory)
	for _, token := range tokens[1:] {
		m.Release(token, share)
	}
	m.Release(tokens[0], share-1000)
	if len(m.byToken) != 1 || m.total != 1000 {
		t.Errorf("%v of %d", m.byToken, m.total)
	}
	if small := NewMemory(1, largest); small.Reserve(uuid.New(), largest) != nil {
		t.Error("the largest body does not fit")
	}
}
