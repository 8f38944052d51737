package storetest

import (
	"sync/atomic"
	"time"
)

// Clock is a clock that a test moves. The zero value shows Now. It is safe for concurrent use.
type Clock struct {
	advanced atomic.Int64 // nanoseconds
}

// Now returns the clock's time, which only Advance changes.
func (c *Clock) Now() time.Time { return Now.Add(time.Duration(c.advanced.Load())) }

// Advance moves the clock by d, which may be negative.
func (c *Clock) Advance(d time.Duration) { c.advanced.Add(int64(d)) }
