package retry_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clientapps/clientapps/store/retry"
)

var errAway = errors.New("away")

func TestDo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		policy    retry.Policy
		succeeds  int // the attempt that does; 0: none
		permanent int // the attempt whose failure is for good; 0: none
		timeout   time.Duration
		attempts  int
		err       error
		least     time.Duration
		most      time.Duration
	}{
		"at once":           {policy: retry.Policy{Attempts: 3, Pause: time.Second}, succeeds: 1, attempts: 1},
		"at the second":     {policy: retry.Policy{Attempts: 3, Pause: time.Second}, succeeds: 2, attempts: 2, least: time.Second / 2, most: time.Second},
		"never":             {policy: retry.Policy{Attempts: 3}, attempts: 3, err: errAway},
		"for good":          {policy: retry.Policy{Attempts: 3}, permanent: 2, attempts: 2, err: errAway},
		"pauses grow":       {policy: retry.Policy{Attempts: 3, Pause: time.Second, MaxPause: time.Hour}, attempts: 3, err: errAway, least: 3 * time.Second / 2, most: 3 * time.Second},
		"pauses are bound":  {policy: retry.Policy{Attempts: 4, Pause: time.Second, MaxPause: time.Second}, attempts: 4, err: errAway, least: 3 * time.Second / 2, most: 3 * time.Second},
		"the context ends":  {policy: retry.Policy{Pause: time.Minute}, timeout: time.Second, attempts: 1, err: errAway, least: time.Second, most: time.Second},
		"without a bound":   {policy: retry.Policy{Pause: time.Second}, succeeds: 1000, attempts: 1000, least: 499 * time.Second, most: 999 * time.Second},
		"one attempt alone": {policy: retry.Policy{Attempts: 1, Pause: time.Second}, attempts: 1, err: errAway},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if c.timeout > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.timeout)
					defer cancel()
				}
				begun, attempts := time.Now(), 0
				err := c.policy.Do(ctx, func() (bool, error) {
					if attempts++; attempts == c.succeeds {
						return false, nil
					}
					return attempts != c.permanent, errAway
				})
				took := time.Since(begun)
				if attempts != c.attempts || !errors.Is(err, c.err) {
					t.Errorf("%d attempts, %v; want %d, %v", attempts, err, c.attempts, c.err)
				}
				if took < c.least || took > c.most {
					t.Errorf("took %v, want between %v and %v", took, c.least, c.most)
				}
			})
		})
	}
}
