package changefeed

import (
	"sync"
	"time"
)

// Lag measures for how long a feed has stood still behind a transaction that has written and has not ended. Its methods are safe for
// concurrent use.
type Lag struct {
	mu      sync.Mutex
	horizon int64
	since   time.Time // when the horizon was first seen; zero: nothing is behind it
	warned  time.Time
}

// Observe updates the lag with a state that was read now.
func (l *Lag) Observe(state State, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case state.Horizon >= state.End:
		l.since = time.Time{}
	case state.Horizon != l.horizon || l.since.IsZero():
		l.since = now
	}
	l.horizon = state.Horizon
}

// At returns the lag at a time; 0 if the feed does not stand still.
func (l *Lag) At(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.since.IsZero() {
		return 0
	}
	return max(now.Sub(l.since), 0)
}

// ShouldWarn reports whether to log the lag: it has reached the threshold, and was not logged for that time.
func (l *Lag) ShouldWarn(threshold time.Duration, now time.Time) bool {
	if l.At(now) < threshold {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.warned) < threshold {
		return false
	}
	l.warned = now
	return true
}
