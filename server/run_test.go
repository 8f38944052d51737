package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

// running is a server started with Run.
type running struct {
	*servertest.Server

	addr string

	listener net.Listener
	client   *servertest.Client
	stop     context.CancelFunc
	stopped  chan error
	reached  chan struct{} // receives a value when a request for /slow is in flight
	release  chan struct{} // closing it ends the request
}

func run(t *testing.T, shutdown time.Duration, configure ...func(*server.Config)) *running {
	t.Helper()
	configure = append(configure, func(c *server.Config) { c.ShutdownTimeout = shutdown })
	r := &running{
		Server:  servertest.New(t, storetest.SQLite(t), configure...),
		stopped: make(chan error, 1), reached: make(chan struct{}, 1), release: make(chan struct{}),
	}
	r.Server.Server.Handle("/slow", func(c echo.Context) error {
		r.reached <- struct{}{}
		<-r.release
		return c.String(http.StatusOK, "done\n")
	})
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr, r.listener = listener.Addr().String(), listener
	r.client = &servertest.Client{URL: "http://" + r.addr, Token: r.Token}
	ctx, stop := context.WithCancel(t.Context())
	r.stop = stop
	go func() { r.stopped <- r.Server.Server.Run(ctx, listener) }()
	return r
}

// dial opens a new connection, which no other request uses.
func (r *running) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func get(t *testing.T, conn net.Conn, path string) {
	t.Helper()
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path); err != nil {
		t.Fatal(err)
	}
}

// When the server stops, requests in flight are answered and new connections are refused.
func TestRunStopsGently(t *testing.T) {
	t.Parallel()
	r := run(t, time.Minute)
	conn := r.dial(t)
	get(t, conn, "/slow")
	<-r.reached
	r.stop()
	eventually(t, func() bool {
		late, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", r.addr)
		if err == nil {
			_ = late.Close()
		}
		return err != nil
	})
	select {
	case err := <-r.stopped:
		t.Fatalf("stopped before the request was answered: %v", err)
	default:
	}
	close(r.release)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if body, err := io.ReadAll(response.Body); response.StatusCode != http.StatusOK || string(body) != "done\n" || err != nil {
		t.Errorf("%d %q %v", response.StatusCode, body, err)
	}
	if err := <-r.stopped; err != nil {
		t.Errorf("stopped with %v", err)
	}
}

// While the server drains, /readyz answers 503, requests are served, and each answer closes its connection.
func TestRunDrains(t *testing.T) {
	t.Parallel()
	r := run(t, time.Minute, func(c *server.Config) { c.DrainDelay = time.Hour })
	get := func(path string) (status int, closing bool) {
		conn := r.dial(t)
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", path, r.Token); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response.StatusCode, response.Close
	}
	for _, path := range []string{"/readyz", appPath} {
		if status, closing := get(path); status != http.StatusOK || closing {
			t.Errorf("%s before: %d, closing: %t", path, status, closing)
		}
	}
	r.stop()
	eventually(t, func() bool { status, _ := get("/readyz"); return status == http.StatusServiceUnavailable })
	for path, want := range map[string]int{"/healthz": 200, appPath: 200, "/readyz": 503} {
		if status, closing := get(path); status != want || !closing {
			t.Errorf("%s while it drains: %d, closing: %t", path, status, closing)
		}
	}
	select {
	case err := <-r.stopped:
		t.Errorf("stopped before the delay was over: %v", err)
	default:
	}
	if err := r.listener.Close(); err != nil { // ends the server before the delay is over
		t.Fatal(err)
	}
	if err := <-r.stopped; err == nil {
		t.Error("Run returned no error although its listener failed")
	}
}

// A request that exceeds the shutdown timeout is aborted, and Run returns an error.
func TestRunStopsInTime(t *testing.T) {
	t.Parallel()
	r := run(t, time.Millisecond)
	conn := r.dial(t)
	get(t, conn, "/slow")
	<-r.reached
	r.stop()
	if err := <-r.stopped; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stopped with %v", err)
	}
	if rest, err := io.ReadAll(conn); len(rest) > 0 {
		t.Errorf("answered %q, %v", rest, err)
	}
	close(r.release)
	eventually(t, func() bool { return len(r.Log.Requests(t)) == 1 }) // the handler must end before the test
}

// Run returns an error when its listener fails.
func TestRunWithoutListener(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, storetest.SQLite(t))
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	if err := s.Server.Run(t.Context(), listener); !errors.Is(err, net.ErrClosed) {
		t.Errorf("ended with %v", err)
	}
}

// Run serves the API. OPTIONS * is answered by the API's handler, not by net/http.
func TestRunServes(t *testing.T) {
	t.Parallel()
	r := run(t, time.Minute)
	if got := r.client.Get(t, appPath); got.Status != http.StatusOK || got.Body != asSeeded+"\n" {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	if got := r.client.Send(t, servertest.Request{Method: http.MethodOptions, Target: "*"}); got.Status != 204 || got.Body != "" {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	large := r.client.Get(t, "/"+strings.Repeat("x", 10_000))
	if large.Status != http.StatusNotFound {
		t.Errorf("%d %s", large.Status, large.Body)
	}
	r.stop()
	if err := <-r.stopped; err != nil {
		t.Errorf("stopped with %v", err)
	}
}
