package store_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// BenchmarkDeletion deletes a client of 100,000 apps and a million changes while another server patches apps of other clients, and
// reports what these notice: their rate and latencies during the deletion, divided by those before it.
//
//	tools/with-postgres go test ./store -run '^$' -bench Deletion -benchtime 1x -timeout 30m
func BenchmarkDeletion(b *testing.B) {
	for name, open := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			url := open(b)
			data := largeClient("Neighbor", 200)
			data.Clients = append(data.Clients, client("Large"))
			here, there := openSeeded(b, url, data, storetest.Unchecked), openWithoutPolling(b, url, storetest.Unchecked)
			fillLargeClient(b, url)
			suspend(b, there, idOf("Large"))
			quiet := patchNeighbors(b, here, 5*time.Second, nil)
			erased := make(chan struct{})
			start := time.Now()
			go func() {
				defer close(erased)
				gone, err := there.DeleteClient(b.Context(), idOf("Large"), alice, nil)
				if !gone && err == nil {
					err = there.FinishDeletion(b.Context(), idOf("Large"))
				}
				if err != nil {
					b.Error(err)
				}
			}()
			during := patchNeighbors(b, here, time.Hour, erased)
			b.ReportMetric(time.Since(start).Seconds(), "s")
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(during.rate/quiet.rate, "rate")
			b.ReportMetric(during.at(50)/quiet.at(50), "p50")
			b.ReportMetric(during.at(99)/quiet.at(99), "p99")
			b.ReportMetric(1000*during.at(99), "p99-ms")
			b.ReportMetric(1000*during.at(100), "max-ms")
		})
	}
}

// fillLargeClient gives the client its apps, and each of them ten changes.
func fillLargeClient(b *testing.B, url string) {
	b.Helper()
	db := storetest.SQL(b, url)
	numbers, id, at := "generate_series(1, %d) AS n(i)", "CAST('%s' || lpad(to_hex(n.i), 12, '0') AS uuid)", "timestamptz '2026-01-01'"
	if strings.HasPrefix(url, "sqlite:") {
		numbers, id, at = "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT i FROM n) AS n", "'%s' || printf('%%012x', n.i)", "0"
	}
	entry, own := fmt.Sprintf(id, "aaaaaaaa-0000-0000-0000-"), fmt.Sprintf(id, "bbbbbbbb-0000-0000-0000-")
	large, zero := "'"+idOf("Large").String()+"'", "'00000000-0000-0000-0000-000000000000'"
	for _, statement := range []string{
		"INSERT INTO catalog_apps (id, canonical_name, name_key, version, created_at, updated_at) " +
			"SELECT " + entry + ", 'large ' || n.i, 'large ' || n.i, 1, " + at + ", " + at + " FROM " + fmt.Sprintf(numbers, 100_000),
		"INSERT INTO apps (client_id, id, catalog_app_id, name_key, is_favorite, is_approved, version, actor_id, actor_name, request_id, created_at, updated_at) " +
			"SELECT " + large + ", " + own + ", " + entry + ", 'large ' || n.i, false, false, 1, " + zero + ", 'bench', 'bench', " + at + ", " + at +
			" FROM " + fmt.Sprintf(numbers, 100_000),
		"INSERT INTO app_changes (client_id, app_id, version, field, old_value, new_value, actor_id, actor_name, request_id, changed_at) " +
			"SELECT client_id, app_id, n.i + 1, 'license_count', '1', '2', actor_id, actor_name, request_id, changed_at FROM app_changes, " +
			fmt.Sprintf(numbers, 9) + " WHERE client_id = " + large + " AND field = 'app'",
	} {
		must(db.ExecContext(b.Context(), statement))(b)
	}
	if !strings.HasPrefix(url, "sqlite:") {
		must(db.ExecContext(b.Context(), "ANALYZE"))(b)
	}
}

type latencies struct {
	rate   float64
	sorted []time.Duration
}

// at returns a percentile in seconds.
func (l latencies) at(percent int) float64 {
	return l.sorted[min(len(l.sorted)*percent/100, len(l.sorted)-1)].Seconds()
}

// patchNeighbors patches apps with 8 writers, for a time or until done.
func patchNeighbors(b *testing.B, s *store.Store, length time.Duration, done <-chan struct{}) latencies {
	b.Helper()
	ctx, stop := context.WithTimeout(b.Context(), length)
	defer stop()
	go func() {
		select {
		case <-done:
			stop()
		case <-ctx.Done():
		}
	}()
	var writers sync.WaitGroup
	var mu sync.Mutex
	var all latencies
	start := time.Now()
	for n := range 8 {
		writers.Go(func() {
			var own []time.Duration
			for i := n; ctx.Err() == nil; i += 8 {
				key := appKey("Neighbor", fmt.Sprintf("Neighbor %d", i%200))
				began := time.Now()
				if _, err := s.UpdateApp(ctx, key, store.Fields{store.ColumnLicenseCount: int32(i)}, alice, nil); err != nil {
					if ctx.Err() == nil {
						b.Error(err)
					}
					break
				}
				own = append(own, time.Since(began))
			}
			mu.Lock()
			defer mu.Unlock()
			all.sorted = append(all.sorted, own...)
		})
	}
	writers.Wait()
	all.rate = float64(len(all.sorted)) / time.Since(start).Seconds()
	slices.Sort(all.sorted)
	return all
}
