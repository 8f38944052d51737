package report

import (
	"math"
	"testing"
)

func rates(values ...float64) (samples []Sample) {
	for _, v := range values {
		samples = append(samples, Sample{Rate: v})
	}
	return samples
}

func rate(s Sample) float64 { return s.Rate }

// The ratios of the rounds are 2, 2 and 4. The result is their median and not the ratio of the medians.
func TestRatioIsTheMedianOfTheRounds(t *testing.T) {
	t.Parallel()
	ours, theirs := rates(20, 200, 40), rates(10, 100, 10)
	if got := Ratio(ours, theirs, rate); got != 2 {
		t.Errorf("got %v, want 2", got)
	}
	if got := Ratio(rates(1, 3), rates(1, 1), rate); got != 2 {
		t.Errorf("even number of rounds: got %v, want 2", got)
	}
	for name, got := range map[string]float64{
		"no rounds":     Ratio(nil, nil, rate),
		"not measured":  Ratio(rates(1, None()), rates(1, 1), rate),
		"median of one": Median(rates(None()), rate),
	} {
		if !math.IsNaN(got) {
			t.Errorf("%s: got %v, want NaN", name, got)
		}
	}
}

func TestAllCPU(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ server, database, want float64 }{
		{1, 2, 3}, {1, None(), 1}, {None(), 2, 2},
	} {
		if got := AllCPU(Sample{ServerCPU: test.server, Database: test.database}); got != test.want {
			t.Errorf("%v and %v: got %v, want %v", test.server, test.database, got, test.want)
		}
	}
}
