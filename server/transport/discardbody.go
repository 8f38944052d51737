package transport

import (
	"net/http"
	"sync"
)

// DiscardBody reads and drops at most this many bytes of the body of a refused request: a client that is still writing when the
// connection closes may miss the answer. A client that waits for 100 Continue has not begun to write.
func DiscardBody(r *http.Request, maxBytes int) {
	if r.Header.Get("Expect") != "" {
		return
	}
	buffer, ok := discardBuffers.Get().(*[discardBufferSize]byte)
	if !ok {
		buffer = new([discardBufferSize]byte)
	}
	defer discardBuffers.Put(buffer)
	for left := maxBytes; left > 0; {
		n, err := r.Body.Read(buffer[:])
		if err != nil {
			return
		}
		left -= n
	}
}

// discardBufferSize is the size of the buffer in bytes: large, so that few system calls are needed.
const discardBufferSize = 64 << 10

// discardBuffers pools buffers of discardBufferSize.
var discardBuffers sync.Pool
