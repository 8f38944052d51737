package groupcommit

import (
	"cmp"
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// write is a write of a test.
type write struct{ Item[int] }

func newWrite(ctx context.Context, key int) *write { return &write{Item[int]{Ctx: ctx, Key: key}} }

// written records what a group writes.
type written struct {
	mu      sync.Mutex
	batches [][]*write
	alone   []*write
}

func (w *written) batch(items []*write) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.batches = append(w.batches, slices.Clone(items))
}

// slowFirst returns a function that writes batches. The first batch ends when slow is closed.
func (w *written) slowFirst(slow <-chan struct{}) func([]*write) {
	return func(items []*write) {
		if w.batch(items); len(w.batches) == 1 {
			<-slow
		}
	}
}

func (w *written) one(item *write) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.alone = append(w.alone, item)
}

func newGroup(batch func([]*write), alone func(*write)) *Group[int, *write] {
	return New(Config[int, *write]{Batch: batch, Alone: alone, Compare: cmp.Compare[int], Limit: 4, FastLimit: 1})
}

// do starts writes and returns when every goroutine is blocked or has ended.
func do(g *Group[int, *write], items ...*write) {
	for _, item := range items {
		go func() { _ = g.Do(item) }()
	}
	synctest.Wait()
}

// TestLockedPatchGoesAlone has a locked item. It is written alone, and later items of its key wait for it. All others are written in
// batches.
func TestLockedPatchGoesAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &written{}
		slow, free := make(chan struct{}), make(chan struct{})
		c := newGroup(func(patches []*write) {
			if w.batch(patches); len(w.batches) == 1 {
				<-slow
			}
			for _, p := range patches {
				p.Locked = p.Key == 1
			}
		}, func(p *write) {
			w.one(p)
			<-free
			p.Err = nil
		})
		first, locked, other, again := newWrite(t.Context(), 0), newWrite(t.Context(), 1), newWrite(t.Context(), 2), newWrite(t.Context(), 1)
		do(c, first)
		do(c, locked)
		do(c, other)
		close(slow)
		synctest.Wait()
		if !other.answered || locked.answered || len(w.batches) != 2 || !slices.Equal(w.alone, []*write{locked}) {
			t.Fatalf("answered: %t, %t; batches %v, alone %v", other.answered, locked.answered, w.batches, w.alone)
		}
		do(c, again)
		do(c, newWrite(t.Context(), 3))
		if len(w.batches) != 3 || again.answered || len(c.inFlight) != 0 {
			t.Errorf("an item of the locked key did not wait, or one of another key did: %v", w.batches)
		}
		close(free)
		synctest.Wait()
		if !locked.answered || len(w.batches) != 4 || w.batches[3][0] != again {
			t.Errorf("items of the key are not written in batches again: %v", w.batches)
		}
		c.Close()
	})
}

// TestRowThatStaysLocked has several items of a row that stays locked. None of them delays a batch.
func TestRowThatStaysLocked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &written{}
		c := newGroup(func(patches []*write) {
			w.batch(patches)
			for _, p := range patches {
				p.Locked = true
			}
		}, func(p *write) {
			w.one(p)
			<-p.Ctx.Done()
			p.Err = p.Ctx.Err()
		})
		patches := make([]*write, 3)
		for i := range patches {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*time.Second)
			defer cancel()
			patches[i] = newWrite(ctx, 1)
			do(c, patches[i])
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(w.batches) != 1 || !slices.Equal(w.alone, patches) {
			t.Errorf("batches %v, alone %v", w.batches, w.alone)
		}
		for _, p := range patches {
			if !errors.Is(p.Err, context.DeadlineExceeded) {
				t.Errorf("an item of a locked row ended with %v", p.Err)
			}
		}
		c.Close()
	})
}

// TestPanicOfAWriter panics in each function that writes. All items of the batch fail with PanicError, and their keys are free again.
func TestPanicOfAWriter(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"caller", "batch", "alone"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				broken, slow := true, make(chan struct{})
				fail := func() {
					if broken {
						panic("out of order")
					}
				}
				c := newGroup(func(patches []*write) {
					switch {
					case patches[0].Key == 0:
						<-slow
					case where == "alone":
						patches[0].Locked = broken
					default:
						fail()
					}
				}, func(*write) { fail() })
				if where == "batch" {
					do(c, newWrite(t.Context(), 0))
				}
				patches := []*write{newWrite(t.Context(), 1), newWrite(t.Context(), 2)}
				do(c, patches...)
				close(slow)
				synctest.Wait()
				for _, p := range patches {
					panicked := (*PanicError)(nil)
					if where == "alone" && !p.Locked && p.Err == nil {
						continue // the second in its batch
					}
					if !errors.As(p.Err, &panicked) {
						t.Errorf("the result is %v", p.Err)
					}
				}
				broken = false
				next := newWrite(t.Context(), 1)
				if do(c, next); !next.answered || next.Err != nil || len(c.inFlight) > 0 || len(c.busy) > 0 {
					t.Errorf("the key is not free: %v %v %v", next.Err, c.inFlight, c.busy)
				}
				c.Close()
			})
		})
	}
}

// TestQueuedItemsShareABatch queues items during a transaction. They share the next batch, in the order of their keys, with one item of
// each key.
func TestQueuedItemsShareABatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, slow := &written{}, make(chan struct{})
		g := newGroup(w.slowFirst(slow), nil)
		do(g, newWrite(t.Context(), 0))
		for _, key := range []int{3, 1, 2, 1} {
			do(g, newWrite(t.Context(), key))
		}
		if len(w.batches) != 1 || g.Stats().Queued != 4 {
			t.Fatalf("%v, %+v", w.batches, g.Stats())
		}
		close(slow)
		synctest.Wait()
		var keys [][]int
		for _, items := range w.batches {
			var batch []int
			for _, item := range items {
				batch = append(batch, item.Key)
			}
			keys = append(keys, batch)
		}
		if want := [][]int{{0}, {1, 2, 3}, {1}}; !reflect.DeepEqual(keys, want) {
			t.Errorf("batches of %v, want %v", keys, want)
		}
		if s := g.Stats(); s.Served != 5 || s.InFlight != 0 || s.Batches[0] != 2 || s.Batches[2] != 1 {
			t.Errorf("%+v", s)
		}
		g.Close()
	})
}

// TestCanceledWhileQueued ends the contexts of queued items. They are never written.
func TestCanceledWhileQueued(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, slow := &written{}, make(chan struct{})
		g := newGroup(w.slowFirst(slow), nil)
		canceled, cancel := context.WithCancel(t.Context())
		timed, stop := context.WithTimeout(t.Context(), time.Millisecond)
		defer stop()
		queued := newWrite(timed, 1)
		results := make(chan error, 2)
		do(g, newWrite(t.Context(), 0))
		go func() { results <- g.Do(queued) }()
		if err := <-results; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("queued, after its deadline: %v", err)
		}
		go func() { results <- g.Do(newWrite(canceled, 2)) }()
		synctest.Wait()
		cancel()
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Errorf("queued, canceled: %v", err)
		}
		close(slow)
		synctest.Wait()
		if len(w.batches) != 1 || g.Stats().Queued != 0 {
			t.Errorf("a canceled item was written: %v", w.batches)
		}
		g.Close()
	})
}

// TestSlowTransactionsBlockNothing has slow transactions. Others start beside them, up to the limit.
func TestSlowTransactionsBlockNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := make(chan struct{})
		g := newGroup(func([]*write) { <-slow }, nil)
		for key := range 6 {
			do(g, newWrite(t.Context(), key))
			time.Sleep(2*slowAfter + 1)
			synctest.Wait()
			if s := g.Stats(); s.InFlight != min(key+1, 4) || s.Queued != max(0, key-3) {
				t.Errorf("after %d: %+v", key+1, s)
			}
		}
		close(slow)
		synctest.Wait()
		if s := g.Stats(); s.InFlight != 0 || s.Served != 6 {
			t.Errorf("%+v", s)
		}
		g.Close()
	})
}

// TestReads has reads of one key: they share a batch, which is in flight beside another. A read whose context ends returns at once, also by
// a deadline and also in flight, and the others get their results.
func TestReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, slow := &written{}, make(chan struct{})
		g := New(Config[int, *write]{
			ReadOnly: true, Compare: cmp.Compare[int], Limit: 2, FastLimit: 1,
			Batch: func(reads []*write) {
				w.batch(reads)
				<-slow
			},
		})
		results := make(chan error, 8)
		read := func(ctx context.Context) {
			go func() { results <- g.Do(newWrite(ctx, 1)) }()
			synctest.Wait()
		}
		read(t.Context())
		short, cancel := context.WithTimeout(t.Context(), 3*slowAfter)
		defer cancel()
		read(short)
		read(t.Context())
		shorter, cancel := context.WithTimeout(t.Context(), slowAfter/2)
		defer cancel()
		read(shorter)
		time.Sleep(2*slowAfter + 1) // the first batch is slow
		synctest.Wait()
		if s := g.Stats(); s.InFlight != 2 || s.Queued != 0 || s.Batches[0] != 1 || s.Batches[1] != 1 {
			t.Errorf("beside a slow batch: %+v", s)
		}
		time.Sleep(slowAfter)
		synctest.Wait()
		for _, what := range []string{"queued", "in flight"} {
			if len(results) == 0 {
				t.Fatalf("a read that was %s has not returned at its deadline", what)
			}
			if err := <-results; !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a read that was %s: %v", what, err)
			}
		}
		close(slow)
		for range 2 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		g.Close()
		if len(w.batches) != 2 || len(g.busy) != 0 {
			t.Errorf("batches %v, busy %v", w.batches, g.busy)
		}
	})
}

// A full queue and a closed group refuse items. No batch has more than MaxBatch.
func TestBoundsOfAGroup(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, slow := &written{}, make(chan struct{})
		g := New(Config[int, *write]{
			Batch:   w.slowFirst(slow),
			Compare: cmp.Compare[int], Limit: 1, FastLimit: 1,
		})
		do(g, newWrite(t.Context(), 0))
		var items []*write
		for key := range maxQueue {
			items = append(items, newWrite(t.Context(), key+1))
		}
		do(g, items...)
		if err := g.Do(newWrite(t.Context(), -1)); !errors.Is(err, ErrFull) || g.Stats().Refused != 1 {
			t.Errorf("an item for the full queue: %v", err)
		}
		close(slow)
		synctest.Wait()
		for _, batch := range w.batches {
			if len(batch) > MaxBatch {
				t.Fatalf("%d items", len(batch))
			}
		}
		g.Close()
		if err := g.Do(newWrite(t.Context(), 1)); !errors.Is(err, ErrFull) {
			t.Errorf("an item for the closed group: %v", err)
		}
	})
}
