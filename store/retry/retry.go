// Package retry repeats work that failed for a reason that passes, with a bound and with jitter.
package retry

import (
	"context"
	"math/rand/v2"
	"time"
)

// Policy says how often work is repeated and how long it pauses in between.
type Policy struct {
	Attempts int           // at most; 0: until the context ends
	Pause    time.Duration // before the second attempt; doubled before each further one
	MaxPause time.Duration // bounds the pause; 0: Pause does
}

// Do calls attempt until it returns false, the attempts are used up or ctx ends. It returns the error of the last attempt. A
// pause lasts between half and the whole of what the policy says, so that callers who failed together do not return together.
func (p Policy) Do(ctx context.Context, attempt func() (again bool, err error)) error {
	pause := p.Pause
	for n := 1; ; n++ {
		again, err := attempt()
		if !again || n == p.Attempts {
			return err
		}
		if !Sleep(ctx, jittered(pause)) {
			return err
		}
		pause = min(2*pause, max(p.MaxPause, p.Pause))
	}
}

// Sleep waits, and reports whether ctx lasted for the pause.
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

// jittered is between half of a pause and the whole.
func jittered(pause time.Duration) time.Duration {
	if pause <= 0 {
		return 0
	}
	return pause/2 + rand.N(pause/2+1) //nolint:gosec // no secret depends on it
}
