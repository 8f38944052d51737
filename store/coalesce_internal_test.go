package store

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
)

// written notes what a coalescer writes, in place of a database.
type written struct {
	mu      sync.Mutex
	batches [][]*appPatch
	alone   []*appPatch
}

func (w *written) batch(patches []*appPatch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.batches = append(w.batches, slices.Clone(patches))
}

func (w *written) one(p *appPatch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.alone = append(w.alone, p)
}

func newPatch(ctx context.Context, app byte) *appPatch {
	return &appPatch{ctx: ctx, key: AppKey{ID: uuid.UUID{app}}}
}

// do runs patches at once, and returns when every goroutine waits or has ended.
func do(c *coalescer, patches ...*appPatch) {
	for _, p := range patches {
		go func() { _ = c.do(p) }()
	}
	synctest.Wait()
}

// A locked patch is written alone, and later patches of its app wait for it; all others are answered and go on in batches.
func TestLockedPatchGoesAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &written{}
		slow, free := make(chan struct{}), make(chan struct{})
		c := newCoalescer(func(patches []*appPatch) {
			if w.batch(patches); len(w.batches) == 1 {
				<-slow
			}
			for _, p := range patches {
				p.locked = p.key.ID[0] == 1
			}
		}, func(p *appPatch) {
			w.one(p)
			<-free
			p.err = nil
		}, maxWriters, Config{})
		first, locked, other, again := newPatch(t.Context(), 0), newPatch(t.Context(), 1), newPatch(t.Context(), 2), newPatch(t.Context(), 1)
		do(c, first)
		do(c, locked)
		do(c, other)
		close(slow)
		synctest.Wait()
		if !other.answered || locked.answered || len(w.batches) != 2 || !slices.Equal(w.alone, []*appPatch{locked}) {
			t.Fatalf("answered: %t, %t; batches %v, alone %v", other.answered, locked.answered, w.batches, w.alone)
		}
		do(c, again)
		do(c, newPatch(t.Context(), 3))
		if len(w.batches) != 3 || again.answered || len(c.under) != 0 {
			t.Errorf("a patch of the locked app did not wait, or one of another did: %v", w.batches)
		}
		close(free)
		synctest.Wait()
		if !locked.answered || len(w.batches) != 4 || w.batches[3][0] != again {
			t.Errorf("the app did not join batches again: %v", w.batches)
		}
		c.close()
	})
}

// While a row stays locked, no patch of its app keeps a batch waiting.
func TestRowThatStaysLocked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &written{}
		c := newCoalescer(func(patches []*appPatch) {
			w.batch(patches)
			for _, p := range patches {
				p.locked = true
			}
		}, func(p *appPatch) {
			w.one(p)
			<-p.ctx.Done()
			p.err = p.ctx.Err()
		}, maxWriters, Config{})
		patches := make([]*appPatch, 3)
		for i := range patches {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*time.Second)
			defer cancel()
			patches[i] = newPatch(ctx, 1)
			do(c, patches[i])
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(w.batches) != 1 || !slices.Equal(w.alone, patches) {
			t.Errorf("batches %v, alone %v", w.batches, w.alone)
		}
		for _, p := range patches {
			if !errors.Is(p.err, context.DeadlineExceeded) {
				t.Errorf("a patch of a locked row ended with %v", p.err)
			}
		}
		c.close()
	})
}

// A panic of whoever writes is an answer to everybody in the batch, and leaves the apps to others.
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
				c := newCoalescer(func(patches []*appPatch) {
					switch {
					case patches[0].key.ID[0] == 0:
						<-slow
					case where == "alone":
						patches[0].locked = broken
					default:
						fail()
					}
				}, func(*appPatch) { fail() }, maxWriters, Config{})
				if where == "batch" {
					do(c, newPatch(t.Context(), 0))
				}
				patches := []*appPatch{newPatch(t.Context(), 1), newPatch(t.Context(), 2)}
				do(c, patches...)
				close(slow)
				synctest.Wait()
				for _, p := range patches {
					unknown := (*OutcomeError)(nil)
					if where == "alone" && !p.locked && p.err == nil {
						continue // the second in its batch
					}
					if !errors.As(p.err, &unknown) {
						t.Errorf("answered with %v", p.err)
					}
				}
				broken = false
				next := newPatch(t.Context(), 1)
				if do(c, next); !next.answered || next.err != nil || len(c.under) > 0 || len(c.busy) > 0 {
					t.Errorf("the app is not free: %v %v %v", next.err, c.under, c.busy)
				}
				c.close()
			})
		})
	}
}
