package telemetry

import (
	"maps"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clientapps/clientapps/store"
)

// batches collects the histogram of these numbers alone.
type batches store.BatchStats

func (batches) Describe(into chan<- *prometheus.Desc) { into <- patchBatchSize }
func (b batches) Collect(into chan<- prometheus.Metric) {
	into <- batchSizes(patchBatchSize, store.BatchStats(b))
}

// The bucket with the bound 1<<i has all batches of at most that size: Prometheus wants cumulative counts.
func TestBatchSizes(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(batches{Batches: []uint64{4, 0, 2, 1}, Served: 19})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	histogram := families[0].GetMetric()[0].GetHistogram()
	got := map[float64]uint64{}
	for _, bucket := range histogram.GetBucket() {
		got[bucket.GetUpperBound()] = bucket.GetCumulativeCount()
	}
	if want := map[float64]uint64{1: 4, 2: 4, 4: 6, 8: 7}; !maps.Equal(got, want) {
		t.Errorf("buckets %v, want %v", got, want)
	}
	if histogram.GetSampleCount() != 7 || histogram.GetSampleSum() != 19 {
		t.Errorf("%d batches with %v patches, want 7 with 19", histogram.GetSampleCount(), histogram.GetSampleSum())
	}
}
