package store_test

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/clientapps/clientapps/store"
)

// BenchmarkApps patches and reads apps, one at a time and with 32 callers at once, who share transactions.
func BenchmarkApps(b *testing.B) {
	eachURL(b, func(b *testing.B, url string) {
		b.Helper()
		const apps = 1024
		data := store.Dataset{Clients: []store.Client{client("one")}}
		keys := make([]store.AppKey, apps)
		for i := range keys {
			name := fmt.Sprint("app ", i)
			data.CatalogApps = append(data.CatalogApps, catalogApp(name))
			data.Apps = append(data.Apps, app("one", name))
			keys[i] = appKey("one", name)
		}
		s := openSeeded(b, url, data)
		var count atomic.Int32
		patch := func() error {
			n := count.Add(1)
			_, err := s.UpdateApp(b.Context(), keys[n%apps], store.Fields{store.ColumnLicenseCount: n}, writer, nil)
			return err
		}
		get := func() error {
			_, err := s.GetApp(b.Context(), keys[count.Add(1)%apps])
			return err
		}
		for _, op := range []struct {
			name string
			do   func() error
		}{{"patch", patch}, {"get", get}} {
			do := op.do
			b.Run(op.name+"/alone", func(b *testing.B) {
				b.ReportAllocs()
				before := cpuTime()
				defer func() { b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/op") }()
				for b.Loop() {
					if err := do(); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run(op.name+"/together", func(b *testing.B) {
				b.ReportAllocs()
				before := cpuTime()
				defer func() { b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/op") }()
				b.SetParallelism(16) // times GOMAXPROCS, which is 2 where results are compared
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := do(); err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		}
	})
}

// cpuTime returns the CPU time of this process: beside the flush of a disk, the time of a patch does not show.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
