package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/clientapps/clientapps/store"
)

// TestReadyWaitsBehindNobody calls Ready while every connection is in use, as they are on SQLite during one write.
func TestReadyWaitsBehindNobody(t *testing.T) {
	eachDatabase(t, func(t *testing.T, _ string, s *store.Store) {
		t.Helper()
		pools := []*gorm.DB{store.Write(s)}
		if store.Read(s) != store.Write(s) {
			pools = append(pools, store.Read(s))
		}
		for _, pool := range pools {
			connections := must(pool.DB())(t)
			for range connections.Stats().MaxOpenConnections {
				conn := must(connections.Conn(t.Context()))(t)
				defer func() { _ = conn.Close() }()
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if err := s.Ready(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	})
}

// TestReadyOutlivesItsFirstCaller cancels the call that began a shared check. The other calls do not fail.
func TestReadyOutlivesItsFirstCaller(t *testing.T) {
	eachDatabase(t, func(t *testing.T, _ string, s *store.Store) {
		t.Helper()
		var all sync.WaitGroup
		for n := range 50 {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			all.Go(func() {
				if err := s.Ready(ctx); err != nil && n%2 == 1 {
					t.Error(err)
				}
			})
			if n%2 == 0 {
				cancel()
			}
		}
		all.Wait()
	})
}
