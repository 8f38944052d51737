package tokenusage_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store/tokenusage"
)

// table is a database of last uses.
type table struct {
	mu         sync.Mutex
	last       map[uuid.UUID]time.Time
	statements int
	broken     bool
}

func (d *table) write(_ context.Context, minute time.Time, ids []uuid.UUID) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.statements++
	if d.broken {
		return errors.New("broken")
	}
	for _, id := range ids {
		if minute.After(d.last[id]) {
			d.last[id] = minute
		}
	}
	return nil
}

func (d *table) setBroken(broken bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.broken = broken
}

var noon = time.Date(2026, 2, 24, 12, 0, 0, 0, time.UTC)

// TestFlush uses many tokens at once. A flush has one statement for each thousand tokens, and the next one none.
func TestFlush(t *testing.T) {
	t.Parallel()
	db := &table{last: map[uuid.UUID]time.Time{}}
	usage := tokenusage.New(db.write)
	ids := make([]uuid.UUID, 2500)
	var all sync.WaitGroup
	for i := range ids {
		ids[i] = uuid.New()
		mark := usage.Mark(ids[i], nil)
		for second := range 4 {
			all.Go(func() { mark.Note(noon.Add(time.Duration(second) * time.Second)) })
		}
	}
	all.Wait()
	for range 2 {
		if err := usage.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if db.statements != 3 || len(db.last) != len(ids) || !db.last[ids[7]].Equal(noon) {
		t.Errorf("%d statements wrote %d tokens", db.statements, len(db.last))
	}
}

// TestFlushDuringUse flushes again and again while tokens are used. No use is lost.
func TestFlushDuringUse(t *testing.T) {
	t.Parallel()
	db := &table{last: map[uuid.UUID]time.Time{}}
	usage := tokenusage.New(db.write)
	ctx, stop := context.WithCancel(t.Context())
	var flushing, using sync.WaitGroup
	flushing.Go(func() {
		for ctx.Err() == nil {
			if err := usage.Flush(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
	for range 8 {
		using.Go(func() {
			for range 200 {
				usage.Mark(uuid.New(), nil).Note(noon)
			}
		})
	}
	using.Wait()
	stop()
	flushing.Wait()
	if err := usage.Flush(t.Context()); err != nil || len(db.last) != 1600 {
		t.Errorf("%d uses are written, want 1600, %v", len(db.last), err)
	}
}

// TestNoteOncePerMinute notes uses in the same minute, in an earlier one, and in the next.
func TestNoteOncePerMinute(t *testing.T) {
	t.Parallel()
	db := &table{last: map[uuid.UUID]time.Time{}}
	usage := tokenusage.New(db.write)
	id := uuid.New()
	mark := usage.Mark(id, &noon)
	for _, step := range []struct {
		at         time.Duration
		statements int
	}{{59 * time.Second, 0}, {-time.Hour, 0}, {time.Minute, 1}, {time.Minute + time.Second, 1}, {3 * time.Minute, 2}} {
		mark.Note(noon.Add(step.at))
		if err := usage.Flush(t.Context()); err != nil || db.statements != step.statements {
			t.Errorf("%v: %d statements, %v", step.at, db.statements, err)
		}
	}
	if !db.last[id].Equal(noon.Add(3 * time.Minute)) {
		t.Errorf("%v", db.last[id])
	}
}

// TestFlushTriesAgain breaks the database for a while. Uses are kept, the latest of each token.
func TestFlushTriesAgain(t *testing.T) {
	t.Parallel()
	db := &table{last: map[uuid.UUID]time.Time{}, broken: true}
	usage := tokenusage.New(db.write)
	first, second := uuid.New(), uuid.New()
	usage.Mark(first, nil).Note(noon)
	usage.Mark(second, nil).Note(noon)
	if err := usage.Flush(t.Context()); err == nil {
		t.Error("no error")
	}
	usage.Mark(first, nil).Note(noon.Add(time.Minute))
	usage.Mark(second, nil).Note(noon.Add(-time.Minute)) // of a server whose clock is behind
	db.broken = false
	if err := usage.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !db.last[first].Equal(noon.Add(time.Minute)) || !db.last[second].Equal(noon) {
		t.Errorf("%v", db.last)
	}
}

// TestRun flushes at each interval, also after a failure, and sends nothing while no token is used.
func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := &table{last: map[uuid.UUID]time.Time{}, broken: true}
		usage := tokenusage.New(db.write)
		ctx, stop := context.WithCancel(t.Context())
		go usage.Run(ctx, 10*time.Second)
		id := uuid.New()
		usage.Mark(id, nil).Note(noon)
		time.Sleep(11 * time.Second)
		synctest.Wait()
		db.setBroken(false)
		time.Sleep(time.Hour)
		synctest.Wait()
		if db.statements != 2 || !db.last[id].Equal(noon) {
			t.Errorf("%d statements, %v", db.statements, db.last)
		}
		stop()
		synctest.Wait()
	})
}
