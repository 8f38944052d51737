package webhook

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

const (
	// giveUpAfter is how long a webhook may fail before it is disabled.
	giveUpAfter   = 72 * time.Hour
	maxRetryAfter = time.Hour
	hourlyPause   = time.Hour
	hourlyJitter  = 0.1 // of the pause, to both sides
)

// firstPauses are the pauses after the first failures. After further ones, the pause is hourlyPause.
var firstPauses = []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute}

// Schedule computes when a failed attempt is repeated.
type Schedule struct {
	Random func() float64 // at least 0 and less than 1; nil: math/rand
}

// Next returns the time of the next attempt after so many failures in a row, of which the last was now. retryAfter is what the
// receiver asked for, honored up to an hour. ok is false when the webhook has failed for three days: give up.
func (s Schedule) Next(failures int, firstFailure, now time.Time, retryAfter time.Duration) (at time.Time, ok bool) {
	if now.Sub(firstFailure) >= giveUpAfter {
		return time.Time{}, false
	}
	return now.Add(max(s.pause(failures), min(retryAfter, maxRetryAfter))), true
}

func (s Schedule) pause(failures int) time.Duration {
	if i := max(failures, 1) - 1; i < len(firstPauses) {
		return firstPauses[i]
	}
	random := s.Random
	if random == nil {
		random = rand.Float64
	}
	return time.Duration(float64(hourlyPause) * (1 + hourlyJitter*(2*random()-1)))
}

// parseRetryAfter returns how long a Retry-After header asks to wait (RFC 9110, 10.2.3), at most an hour. A malformed header asks for nothing.
func parseRetryAfter(header string, now time.Time) time.Duration {
	if header != "" && strings.Trim(header, "0123456789") == "" {
		seconds := 0
		for _, digit := range header {
			seconds = min(10*seconds+int(digit-'0'), int(maxRetryAfter/time.Second))
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(header)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}
