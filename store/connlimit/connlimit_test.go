package connlimit

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestBounds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ conns, each, all int }{{1, 1, 0}, {2, 1, 1}, {4, 1, 3}, {8, 2, 6}, {100, 25, 75}} {
		if each, all := New[string](c.conns).Bounds(); each != c.each || all != c.all {
			t.Errorf("of %d connections one key may hold %d and all keys %d, want %d and %d", c.conns, each, all, c.each, c.all)
		}
	}
}

// acquire fails the test when the key has to wait.
func acquire(t *testing.T, p *Shares[string], key string) (release func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	release, err := p.Acquire(ctx, key)
	if err != nil {
		t.Fatalf("%s has to wait: %v", key, err)
	}
	return release
}

// A key that holds its share waits. Other keys do not.
func TestKeyBeyondItsShareWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := New[string](8)
		for range 2 {
			defer acquire(t, p, "A")()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.Acquire(ctx, "A"); !errors.Is(err, ErrTimeout) {
			t.Errorf("the error after the deadline is %v, want ErrTimeout", err)
		}
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := p.Acquire(canceled, "A"); !errors.Is(err, context.Canceled) {
			t.Errorf("the error of a canceled request is %v, want context.Canceled", err)
		}
		if got, want := p.Stats(), (Stats{Keys: 1, Waits: 2, WaitTime: time.Second}); got != want {
			t.Errorf("the statistics are %+v, want %+v", got, want)
		}
		for _, key := range []string{"B", "B", "C", "C"} {
			defer acquire(t, p, key)()
		}
		if _, err := p.Acquire(canceled, "D"); !errors.Is(err, context.Canceled) {
			t.Errorf("a write beyond the share of all keys: %v, want that it waits", err)
		}
	})
}

// A released connection goes to the waiting key with the fewest connections, also when others have waited for longer.
func TestFewestConnectionsGoNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := New[string](8)
		releaseFirst, releaseSecond := acquire(t, p, "A"), acquire(t, p, "A")
		var others []func()
		for _, key := range []string{"B", "B", "C", "C"} {
			others = append(others, acquire(t, p, key))
		}
		order := make(chan string, 5)
		for _, key := range []string{"A", "A", "A", "B", "D"} {
			go func() {
				release, err := p.Acquire(t.Context(), key)
				if err != nil {
					t.Error(err)
					return
				}
				order <- key
				release()
			}()
			synctest.Wait() // so that they wait in this order
		}
		if got := p.Stats().Waiting; got != 5 {
			t.Errorf("%d writes wait, want 5", got)
		}
		releaseFirst()
		if next := <-order; next != "D" {
			t.Errorf("%s was next, want D", next)
		}
		releaseSecond()
		for _, release := range others {
			release()
		}
		synctest.Wait()
		if got := p.Stats(); len(order) != 4 || got.Waiting != 0 || got.Keys != 0 {
			t.Errorf("%d more writes had a connection, and at the end the statistics are %+v", len(order), got)
		}
	})
}

// Deadlines pass while connections are granted. None may be lost.
func TestGrantAtTheDeadline(t *testing.T) {
	t.Parallel()
	p := New[string](8)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 200 {
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Microsecond)
				if release, err := p.Acquire(ctx, "A"); err == nil {
					release()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if got := p.Stats(); got.Waiting != 0 || got.Keys != 0 {
		t.Errorf("at the end the statistics are %+v", got)
	}
	for range 2 {
		acquire(t, p, "A")
	}
}
