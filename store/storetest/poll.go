package storetest

import "time"

// Poll calls done until it returns true or the pauses add up to a minute, and reports whether it returned true. The pauses grow, since
// done may be expensive and other tests need the processors.
func Poll(done func() bool) bool {
	for waited := time.Duration(0); !done(); {
		if waited > time.Minute {
			return false
		}
		pause := min(5*time.Millisecond+waited/4, 500*time.Millisecond)
		time.Sleep(pause)
		waited += pause
	}
	return true
}
