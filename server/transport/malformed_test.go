package transport_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/clientapps/clientapps/server/transport"
)

// serve serves plain HTTP until the test ends, and returns the address. The bodies of refusals have their status. "/text" is
// answered with plain text like net/http's own refusals.
func serve(t *testing.T) string {
	t.Helper()
	handler := http.NewServeMux()
	handler.HandleFunc("/text", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		http.Error(w, "of the handler", http.StatusBadRequest)
	})
	timeouts := transport.Timeouts{Header: 10 * time.Second, Request: 10 * time.Second, Idle: 10 * time.Second}
	server := transport.NewServer(handler, timeouts, slog.New(slog.DiscardHandler))
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() {
		served <- transport.Serve(server, listener, nil, func(status int, _ net.Addr) (string, []byte) {
			return "an-id", fmt.Appendf(nil, "refused with %d", status)
		})
	}()
	t.Cleanup(func() {
		if err := server.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// answer is a response.
type answer struct {
	status int
	header http.Header
	body   string
	last   bool // the server closes the connection after it
}

// ask sends a text and returns the last answer.
func ask(t *testing.T, address, text string) (got answer) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.WriteString(conn, text) }() // the server may stop reading
	answers := bufio.NewReader(conn)
	for {
		response, err := http.ReadResponse(answers, nil)
		if err != nil {
			return got
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		got = answer{response.StatusCode, response.Header, string(body), response.Close}
	}
}

// net/http's own refusals get the API's body, request id and headers.
func TestMalformed(t *testing.T) {
	t.Parallel()
	address := serve(t)
	for name, bad := range map[string]struct {
		text   string
		status int
	}{
		"no request":          {"hello\r\n\r\n", 400},
		"a TLS greeting":      {"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00\r\n\r\n", 400},
		"no host":             {"GET /text HTTP/1.1\r\n\r\n", 400},
		"two hosts":           {"GET /text HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400},
		"a space in a header": {"GET /text HTTP/1.1\r\nHost: x\r\nX A: b\r\n\r\n", 400},
		"two lengths":         {"GET /text HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
		"a large header":      {"GET /text HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("x", 100_000), 431},
		"a byte in a header":  {"GET /text HTTP/1.1\r\nHost: x\r\nX-A: \x00\r\n\r\n", 400},
		"an odd encoding":     {"POST /text HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 400},
		"an odd version":      {"GET /text HTTP/3.7\r\nHost: x\r\n\r\n", 400},
		"an odd expectation":  {"GET /text HTTP/1.1\r\nHost: x\r\nExpect: much\r\n\r\n", 417},
		"many headers":        {"GET /text HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-A: b\r\n", 20_000), 431},
		"a long path":         {"GET /" + strings.Repeat("x", 100_000), 431},
		"behind a good one":   {"GET / HTTP/1.1\r\nHost: x\r\n\r\nnonsense\r\n\r\n", 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := ask(t, address, bad.text)
			if got.status != bad.status || got.body != fmt.Sprintf("refused with %d", bad.status) || !got.last {
				t.Fatalf("answered %+v", got)
			}
			for header, want := range map[string]string{
				"X-Request-Id": "an-id", "Content-Type": "application/json", "Cache-Control": "no-store",
				"X-Content-Type-Options": "nosniff",
			} {
				if text := got.header.Get(header); text != want {
					t.Errorf("%s is %q", header, text)
				}
			}
		})
	}
}

// A handler's answer is unchanged, even if it looks like a refusal of net/http.
func TestAnswersOfHandlersPass(t *testing.T) {
	t.Parallel()
	got := ask(t, serve(t), "GET /text HTTP/1.1\r\nHost: x\r\n\r\n")
	if got.status != http.StatusBadRequest || got.body != "of the handler\n" {
		t.Errorf("answered %+v", got)
	}
}
