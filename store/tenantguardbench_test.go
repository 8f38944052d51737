package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// BenchmarkTenantGuard alternates between each operation with the guard and without it, and reports the ratio of their times.
func BenchmarkTenantGuard(b *testing.B) {
	eachURL(b, func(b *testing.B, url string) {
		b.Helper()
		with, without := openWithoutPolling(b, url), openWithoutPolling(b, url)
		if err := with.Seed(b.Context(), storetest.Page()); err != nil {
			b.Fatal(err)
		}
		if err := store.Unguard(without); err != nil {
			b.Fatal(err)
		}
		compare(b, with, without)
	})
}

func eachURL(b *testing.B, run func(b *testing.B, url string)) {
	b.Helper()
	b.Run("sqlite", func(b *testing.B) { run(b, storetest.SQLite(b)) })
	b.Run("postgres", func(b *testing.B) { run(b, storetest.Postgres(b)) })
}

// compare alternates between two stores of one database and measures the most frequent operations.
func compare(b *testing.B, with, without *store.Store) {
	b.Helper()
	count := int32(0)
	for _, op := range []struct {
		name string
		do   func(ctx context.Context, s *store.Store) error
	}{
		{"patch", func(ctx context.Context, s *store.Store) error {
			count++
			_, err := s.UpdateApp(ctx, pageApp, store.Fields{store.ColumnLicenseCount: count}, writer, nil)
			return err
		}},
		{"get", func(ctx context.Context, s *store.Store) error {
			_, err := s.GetApp(ctx, pageApp)
			return err
		}},
		{"list", func(ctx context.Context, s *store.Store) error {
			_, err := s.ListApps(ctx, pageApp.ClientID, store.AppFilter{}, fullPage(store.ColumnCanonicalName))
			return err
		}},
	} {
		b.Run(op.name, func(b *testing.B) {
			var took [2]time.Duration
			for b.Loop() {
				for i, s := range []*store.Store{without, with} {
					start := time.Now()
					if err := op.do(b.Context(), s); err != nil {
						b.Fatal(err)
					}
					took[i] += time.Since(start)
				}
			}
			b.ReportMetric(took[1].Seconds()/took[0].Seconds(), "with/without")
		})
	}
}
