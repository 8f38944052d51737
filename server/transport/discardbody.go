package transport

import (
	"net/http"
	"sync"
)

// DiscardBody reads and drops at most this many bytes of the body of a refused request: a client that is still writing when the
// connection closes may miss the answer. A client that waits for 100 Continue has not begun to write.
func DiscardBody(r *http.Request, most int) {
	if r.Header.Get("Expect") != "" {
		return
	}
	buffer, ok := discarded.Get().(*[discardSize]byte)
	if !ok {
		buffer = new([discardSize]byte)
	}
	defer discarded.Put(buffer)
	for left := most; left > 0; {
		n, err := r.Body.Read(buffer[:])
		if err != nil {
			return
		}
		left -= n
	}
}

// discardSize is the size of the buffer in bytes: large, so that few system calls are needed.
const discardSize = 64 << 10

// discarded pools buffers of discardSize.
var discarded sync.Pool
