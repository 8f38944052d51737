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
func (k Workload) Find(contender string) []Sample {
	for _, s := range k.Series {
		if s.Contender == contender {
			return s.Samples
		}
	}
	return nil
}

// Median returns the median of a measure over the rounds, or NaN.
func Median(samples []Sample, of func(Sample) float64) float64 {
	values := make([]float64, 0, len(samples))
	for _, s := range samples {
		values = append(values, of(s))
	}
	return median(values)
}

// Ratio returns the median of the ratios of each round. Other activity on the machine slows both slices of a round.
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

// Footprint has the costs of a contender before the first request.
type Footprint struct {
	Contender string
	Ready     time.Duration // time from the start to the first answer
	Idle      int64         // resident memory then, in bytes
	Binary    int64         // size in bytes; 0 when it is not one file
}
