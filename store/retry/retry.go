// Package retry repeats work that failed for a transient reason, with a bound and with jitter.
package retry

import (
	"context"
	"math/rand/v2"
	"time"
)

// Policy says how often work is attempted, and how long to pause in between.
type Policy struct {
	Attempts int           // at most; 0: until the context ends
	Pause    time.Duration // before the second attempt; doubled before each further one
	MaxPause time.Duration // bounds the pause; 0: Pause does
}

// Do calls attempt until it returns false for retry, the attempts are used up or ctx ends. It returns the error of the last attempt. Each
// pause is random, between half and the whole of what the policy says, so that callers who failed together do not retry together.
func (p Policy) Do(ctx context.Context, attempt func() (retry bool, err error)) error {
	pause := p.Pause
	for n := 1; ; n++ {
		retry, err := attempt()
		if !retry || n == p.Attempts {
			return err
		}
		if !Sleep(ctx, withJitter(pause)) {
			return err
		}
		pause = min(2*pause, max(p.MaxPause, p.Pause))
	}
}

// Sleep waits for the pause. It returns false, at once, when ctx ends.
func Sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}

// withJitter returns a random time between half of a pause and the whole.
func withJitter(pause time.Duration) time.Duration {
	if pause <= 0 {
		return 0
	}
	return pause/2 + rand.N(pause/2+1) //nolint:gosec // no secret depends on it
}
