package webhook

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func TestNext(t *testing.T) {
	t.Parallel()
	const hour = time.Hour
	for name, c := range map[string]struct {
		failures          int
		since, retryAfter time.Duration
		random            float64
		want              time.Duration // 0: give up
	}{
		"first":                    {failures: 1, want: 5 * time.Second},
		"second":                   {failures: 2, want: 30 * time.Second},
		"third":                    {failures: 3, want: 2 * time.Minute},
		"fourth":                   {failures: 4, want: 10 * time.Minute},
		"fifth":                    {failures: 5, want: 30 * time.Minute},
		"without jitter":           {failures: 5, random: 0.99, want: 30 * time.Minute},
		"sixth":                    {failures: 6, random: 0.5, want: hour},
		"earliest":                 {failures: 6, random: 0, want: 54 * time.Minute},
		"later":                    {failures: 70, random: 0.75, want: 63 * time.Minute},
		"very often":               {failures: 1 << 40, random: 0.5, want: hour},
		"none":                     {failures: 0, want: 5 * time.Second},
		"asked to wait":            {failures: 1, retryAfter: time.Minute, want: time.Minute},
		"asked to wait an hour":    {failures: 1, retryAfter: hour, want: hour},
		"asked to wait for longer": {failures: 1, retryAfter: 2 * hour, want: hour},
		"asked to wait for less":   {failures: 4, retryAfter: time.Minute, want: 10 * time.Minute},
		"asked to wait, hourly":    {failures: 6, retryAfter: hour, random: 0, want: hour},
		"nothing asked":            {failures: 1, retryAfter: -hour, want: 5 * time.Second},
		"almost three days":        {failures: 80, since: 72*hour - 1, random: 0.5, want: hour},
		"three days":               {failures: 80, since: 72 * hour, random: 0.5},
		"first after three days":   {failures: 1, since: 73 * hour, retryAfter: hour},
	} {
		schedule := Schedule{Random: func() float64 { return c.random }}
		at, ok := schedule.Next(c.failures, start, start.Add(c.since), c.retryAfter)
		if ok != (c.want > 0) || ok && at.Sub(start.Add(c.since)) != c.want {
			t.Errorf("%s: %v, %v, want %v", name, at.Sub(start), ok, c.want)
		}
	}
}

func TestJitter(t *testing.T) {
	t.Parallel()
	seen := map[time.Time]bool{}
	for range 100 {
		at, ok := Schedule{}.Next(6, start, start, 0)
		if pause := at.Sub(start); !ok || pause < 54*time.Minute || pause >= 66*time.Minute {
			t.Errorf("%v, %v", pause, ok)
		}
		seen[at] = true
	}
	if len(seen) < 50 {
		t.Errorf("only %d pauses differ", len(seen))
	}
}

func TestParseRetryAfter(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]time.Duration{
		"":                               0,
		"0":                              0,
		"120":                            2 * time.Minute,
		"0000000000000000120":            2 * time.Minute,
		"3600":                           time.Hour,
		"3601":                           time.Hour,
		strings.Repeat("9", 10000):       time.Hour,
		"-1":                             0,
		"+1":                             0,
		"1.5":                            0,
		"1 ":                             0,
		"0x10":                           0,
		"١":                              0,
		"soon":                           0,
		"1h":                             0,
		"Sun, 29 Nov 2026 12:02:00 GMT":  2 * time.Minute,
		"Sunday, 29-Nov-26 12:02:00 GMT": 2 * time.Minute,
		"Sun Nov 29 12:02:00 2026":       2 * time.Minute,
		"Sun, 29 Nov 2026 12:00:00 GMT":  0,
		"Sun, 29 Nov 2026 11:00:00 GMT":  0,
		"Sun, 29 Nov 2026 13:00:01 GMT":  time.Hour,
		"Fri, 31 Dec 9999 23:59:59 GMT":  time.Hour,
		"Mon, 01 Jan 0001 00:00:00 GMT":  0,
		"2026-11-29T12:02:00Z":           0,
		"Sun, 29 Nov 2026 12:02:00":      0,
	} {
		if got := parseRetryAfter(header, start); got != want {
			t.Errorf("%.40s: %v, want %v", header, got, want)
		}
	}
}

func FuzzParseRetryAfter(f *testing.F) {
	for _, seed := range []string{"120", "-1", "99999999999999999999", start.Format(http.TimeFormat), "Fri, 31 Dec 9999 23:59:59 GMT"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if got := parseRetryAfter(header, start); got < 0 || got > time.Hour {
			t.Errorf("%q: %v", header, got)
		}
	})
}
