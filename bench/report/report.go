// Package report makes ratios, tables and a file of what a benchmark has measured.
package report

import (
	"math"
	"slices"
	"time"
)

// Sample is what one slice has measured. NaN is what there is none of.
type Sample struct {
	Rate      float64 // requests a second
	P50, P99  float64 // milliseconds
	ServerCPU float64 // microseconds a request
	Database  float64 // microseconds a request
	Memory    float64 // MB resident
}

// None is a measure that a contender does not have.
func None() float64 { return math.NaN() }

// Measure is one figure of a sample.
type Measure struct {
	Name   string
	Digits int
	Of     func(Sample) float64
}

// Measures are the columns of a table.
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

// AllCPU is that of the server and of the database.
func AllCPU(s Sample) float64 {
	switch {
	case math.IsNaN(s.ServerCPU):
		return s.Database
	case math.IsNaN(s.Database):
		return s.ServerCPU
	}
	return s.ServerCPU + s.Database
}

// Series is the samples of one contender, one of each round.
type Series struct {
	Contender string
	Samples   []Sample
}

// Kind is one kind of load: the first series is what the others are compared with.
type Kind struct {
	Name, What string
	Series     []Series
}

// Find returns the samples of a contender, nil when it was not in the race.
func (k Kind) Find(contender string) []Sample {
	for _, s := range k.Series {
		if s.Contender == contender {
			return s.Samples
		}
	}
	return nil
}

// Median is that of one measure over the rounds. NaN when there is none.
func Median(samples []Sample, of func(Sample) float64) float64 {
	values := make([]float64, 0, len(samples))
	for _, s := range samples {
		values = append(values, of(s))
	}
	return median(values)
}

// Ratio is the median of the ratios of each round: what slows the machine down slows both slices of a round.
func Ratio(ours, theirs []Sample, of func(Sample) float64) float64 {
	values := make([]float64, 0, len(ours))
	for i := range min(len(ours), len(theirs)) {
		values = append(values, of(ours[i])/of(theirs[i]))
	}
	return median(values)
}

func median(values []float64) float64 {
	if len(values) == 0 || slices.ContainsFunc(values, math.IsNaN) {
		return math.NaN()
	}
	slices.Sort(values)
	half := len(values) / 2
	if len(values)%2 == 1 {
		return values[half]
	}
	return (values[half-1] + values[half]) / 2
}

// Footprint is what a contender costs before the first request.
type Footprint struct {
	Contender string
	Ready     time.Duration // from the start to the first answer
	Idle      int64         // bytes resident then
	Binary    int64         // bytes; 0 when it is not one file
}
