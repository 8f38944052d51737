package storetest

import "time"

// Poll calls done until it is true, with pauses of a minute in all, and reports whether it was. The pauses grow, since to look may be dear,
// and other tests need the processors.
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
