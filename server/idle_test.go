package server_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// Ten thousand idle connections, or as many as the file limit allows, use a bounded amount of memory each. Both ends of each
// connection are in this process and count.
func TestIdleConnections(t *testing.T) {
	const bound = 40 << 10 // bytes for each connection
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	files.Cur = files.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	count := int(min(10_000, (files.Max-1000)/2))
	r := run(t, time.Minute)
	before := memory()
	conns := make([]net.Conn, count)
	for i := range conns {
		conns[i] = r.dial(t)
		get(t, conns[i], "/healthz")
		response, err := http.ReadResponse(bufio.NewReader(conns[i]), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
	}
	each := (memory() - before) / int64(count)
	t.Logf("%d idle connections cost %d bytes each", count, each)
	if each > bound {
		t.Errorf("an idle connection costs %d bytes", each)
	}
	if got := r.client.Get(t, appPath); got.Status != http.StatusOK {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	for _, conn := range conns {
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// memory returns the bytes of the heap and the stacks after garbage collection.
func memory() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}
