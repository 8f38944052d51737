package load

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// warmUp is the time for opening connections. Answers during it do not count.
const warmUp = 500 * time.Millisecond

// Vegeta sends requests at a fixed rate over a number of connections. It does not wait for an answer before the next request. A request
// without a free connection waits, and that time counts. When the contender is too slow for the rate, Result.Rate is lower.
func (p Plan) Vegeta(ctx context.Context, rate, connections int, slice time.Duration) (Result, error) {
	attacker := vegeta.NewAttacker(
		vegeta.Connections(connections), vegeta.MaxConnections(connections), vegeta.KeepAlive(true), vegeta.HTTP2(false),
		vegeta.Workers(uint64(connections)), //nolint:gosec // a small number
		vegeta.Timeout(10*time.Second),
	)
	header := http.Header{"Authorization": {"Bearer " + p.Token}, "Content-Type": {"application/json"}}
	target := func(t *vegeta.Target) error {
		var body string
		t.Method, t.URL, body = p.Request()
		t.Body, t.Header = []byte(body), header
		return nil
	}
	stop := context.AfterFunc(ctx, func() { attacker.Stop() })
	defer stop()
	start := time.Now()
	var (
		times       []time.Duration
		before, bad int
		last        string
	)
	for answer := range attacker.Attack(target, vegeta.Rate{Freq: rate, Per: time.Second}, warmUp+slice, "") {
		if answer.Timestamp.Sub(start) < warmUp {
			before++
		} else {
			times = append(times, answer.Latency)
		}
		if answer.Code != http.StatusOK {
			bad++
			last = strconv.Itoa(int(answer.Code)) + " " + answer.Error
		}
	}
	took := time.Since(start) - warmUp
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	if bad > 0 || len(times) == 0 {
		return Result{}, failedRequests("vegeta", bad, last)
	}
	slices.Sort(times)
	return Result{
		Requests: len(times), Before: before, Took: took, P50: percentile(times, 50), P99: percentile(times, 99),
	}, nil
}

// percentile returns a percentile of sorted times.
func percentile(sorted []time.Duration, percent int) time.Duration {
	return sorted[min(len(sorted)*percent/100, len(sorted)-1)]
}
