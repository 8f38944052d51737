// Package report computes ratios and tables from the measurements of a benchmark.
package report

import (
	"math"
	"slices"
	"time"
)

// Sample has the measurements of one slice. A missing one is NaN.
type Sample struct {
	Rate      float64 // requests per second
	P50, P99  float64 // milliseconds
	ServerCPU float64 // microseconds per request
	Database  float64 // microseconds per request
	Memory    float64 // MB resident
}

// None returns the value of a missing measurement.
func None() float64 { return math.NaN() }

// Measure is one figure of a sample.
type Measure struct {
	Name   string
	Digits int
	Of     func(Sample) float64
}

// Measures returns the columns of a table.
func Measures() []Measure {
	return []Measure{
		{"requests/s", 0, func(s Sample) float64 { return s.Rate }},
		{"p50 ms", 2, func(s Sample) float64 { return s.P50 }},
		{"p99 ms", 2, func(s Sample) float64 { return s.P99 }},
		{"server CPU µs", 1, func(s Sample) float64 { return s.ServerCPU }},
		{"database CPU µs", 1, func(s Sample) float64 { return s.Database }},
		{"all CPU µs", 1, AllCPU},
		{"memory MB", 0, func(s Sample) float64 { return s.Memory }},
	}
}

// AllCPU returns the CPU time of the server and the database.
func AllCPU(s Sample) float64 {
	switch {
	case math.IsNaN(s.ServerCPU):
		return s.Database
	case math.IsNaN(s.Database):
		return s.ServerCPU
	}
	return s.ServerCPU + s.Database
}

// Series has the samples of one contender, one per round.
type Series struct {
	Contender string
	Samples   []Sample
}

// Workload has the results of one load. The other series are compared with the first.
type Workload struct {
	Name, What string
	Series     []Series
}

// Find returns the samples of a contender, or nil.
func (w Workload) Find(contender string) []Sample {
	for _, s := range w.Series {
		if s.Contender == contender {
			return s.Samples
		}
	}
	return nil
}

// Median returns the median of a measure over the rounds, or NaN.
func Median(samples []Sample, of func(Sample) float64) float64 { return Over(samples, of).Median }

// Spread is the median of a figure over the rounds, with the quartiles around it. Without rounds all are NaN.
type Spread struct{ Median, Low, High float64 }

// Single returns a figure that does not come from rounds: it has no quartiles.
func Single(value float64) Spread { return Spread{value, None(), None()} }

// Over returns the spread of a measure over the rounds.
func Over(samples []Sample, of func(Sample) float64) Spread {
	values := make([]float64, 0, len(samples))
	for _, s := range samples {
		values = append(values, of(s))
	}
	return spread(values)
}

// Ratio returns the spread of the ratios of each round. Other activity on the machine slows both slices of a round.
func Ratio(ours, theirs []Sample, of func(Sample) float64) Spread {
	values := make([]float64, 0, len(ours))
	for i := range min(len(ours), len(theirs)) {
		values = append(values, of(ours[i])/of(theirs[i]))
	}
	return spread(values)
}

func spread(values []float64) Spread {
	if len(values) == 0 || slices.ContainsFunc(values, math.IsNaN) {
		return Single(None())
	}
	slices.Sort(values)
	return Spread{quantile(values, 0.5), quantile(values, 0.25), quantile(values, 0.75)}
}

// quantile interpolates between the two nearest of the sorted values.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	if sorted[low] == sorted[high] {
		return sorted[low] // also when both are infinite
	}
	return sorted[low] + (sorted[high]-sorted[low])*(at-float64(low))
}

// Footprint has the costs of a contender before the first request.
type Footprint struct {
	Contender string
	Ready     time.Duration // time from the start to the first answer
	Idle      int64         // resident memory then, in bytes
	Binary    int64         // size in bytes; 0 when it is not one file
}
