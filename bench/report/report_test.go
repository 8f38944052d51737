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
	if got := Ratio(ours, theirs, rate).Median; got != 2 {
		t.Errorf("got %v, want 2", got)
	}
	if got := Ratio(rates(1, 3), rates(1, 1), rate).Median; got != 2 {
		t.Errorf("even number of rounds: got %v, want 2", got)
	}
	for name, got := range map[string]float64{
		"no rounds":     Ratio(nil, nil, rate).Median,
		"not measured":  Ratio(rates(1, None()), rates(1, 1), rate).Median,
		"its quartiles": Ratio(rates(1, None()), rates(1, 1), rate).Low,
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

func TestQuartiles(t *testing.T) {
	t.Parallel()
	ones := rates(1, 1, 1, 1, 1)
	if got, want := Ratio(rates(5, 1, 4, 2, 3), ones, rate), (Spread{Median: 3, Low: 2, High: 4}); got != want {
		t.Errorf("five rounds: got %v, want %v", got, want)
	}
	if got, want := Ratio(rates(4, 1, 3, 2), ones, rate), (Spread{Median: 2.5, Low: 1.75, High: 3.25}); got != want {
		t.Errorf("four rounds: got %v, want %v", got, want)
	}
	if got, want := Over(rates(7), rate), (Spread{Median: 7, Low: 7, High: 7}); got != want {
		t.Errorf("one round: got %v, want %v", got, want)
	}
}

// Quartiles that say no more than the median are left out.
func TestCellHasQuartiles(t *testing.T) {
	t.Parallel()
	m := Measure{"requests/s", 0, rate}
	theirs := rates(1000, 1000, 1000, 1000, 1000)
	for _, test := range []struct {
		ours, theirs []Sample
		compare      bool
		want         string
	}{
		{rates(1650, 1690, 1750, 1800, 1900), theirs, true, "1,000 (1.75; 1.69–1.80)"},
		{rates(1750, 1750, 1750, 1750, 1900), theirs, true, "1,000 (1.75)"},
		{rates(1750), theirs, true, "1,000 (1.75)"},
		{theirs, theirs, false, "1,000"},
		{rates(None()), theirs, true, "1,000"},
		{theirs, rates(0, 0), true, "0"},
		{theirs, rates(None()), true, "–"},
	} {
		if got := cell(test.ours, test.theirs, m, test.compare); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestAimTable(t *testing.T) {
	t.Parallel()
	workloads := []Workload{{Name: "patch", Series: []Series{{"ours", rates(1, 2, 3, 4, 5)}}}}
	of := func(find func(string, string) []Sample) Spread { return Over(find("patch", "ours"), rate) }
	none := func(find func(string, string) []Sample) Spread { return Over(find("get", "ours"), rate) }
	got := AimTable([]Aim{
		{"at least", false, 3, of},
		{"at most", true, 2.5, of},
		{"one figure", true, 2, func(func(string, string) []Sample) Spread { return Single(1) }},
		{"not measured", true, 2, none},
	}, workloads)
	want := `| aim        |  bound | reached | quartiles | met |
| ---------- | -----: | ------: | --------: | --: |
| at least   | ≥ 3.00 |    3.00 | 2.00–4.00 | yes |
| at most    | ≤ 2.50 |    3.00 | 2.00–4.00 |  no |
| one figure | ≤ 2.00 |    1.00 |           | yes |
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := AimTable([]Aim{{"not measured", true, 2, none}}, workloads); got != "" {
		t.Errorf("no figures: got %q", got)
	}
}
