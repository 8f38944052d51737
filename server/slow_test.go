package server_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/servertest"
)

// runWithShortTimeouts starts a server with short timeouts.
func runWithShortTimeouts(t *testing.T) *running {
	t.Helper()
	return run(t, time.Minute, func(c *server.Config) {
		c.RequestTimeout, c.HeaderTimeout, c.IdleTimeout = 300*time.Millisecond, 200*time.Millisecond, 200*time.Millisecond
	})
}

// sendSlowly sends the text and then a little more, repeatedly, until the server closes the connection. It returns what the server
// answered.
func sendSlowly(t *testing.T, conn net.Conn, text, more string) string {
	t.Helper()
	answer := make(chan string, 1)
	go func() {
		all, _ := io.ReadAll(conn) // the error is EOF or a reset connection
		answer <- string(all)
	}()
	_, err := io.WriteString(conn, text)
	eventually(t, func() bool {
		if err == nil && more != "" {
			_, err = io.WriteString(conn, more)
		}
		return err != nil || len(answer) > 0
	})
	_ = conn.(*net.TCPConn).SetReadDeadline(time.Now().Add(time.Minute))
	return <-answer
}

// A slow client cannot keep a connection beyond the timeouts, whatever part of the request is slow.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	r := runWithShortTimeouts(t)
	const none = ""
	patch := "PATCH " + appPath + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
	authorized := "Authorization: Bearer " + r.Token + "\r\n"
	for name, slow := range map[string]struct{ text, more, want string }{
		"says nothing":           {"", "", none},
		"half a request line":    {"GET /hea", "", "400 Malformed HTTP request"},
		"a header a little":      {"GET /healthz HTTP/1.1\r\nHost: x\r\n", "X-A: b\r\n", none},
		"a header without end":   {"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ", "b", none},
		"half a body":            {patch + authorized + "Content-Length: 1000\r\n\r\n{", "", "400 Request body did not arrive in time"},
		"a body a little":        {patch + authorized + "Content-Length: 100000\r\n\r\n", " ", "400 Request body did not arrive in time"},
		"chunks without end":     {patch + authorized + "Transfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n", "400 Request body did not arrive in time"},
		"a body of a stranger's": {patch + "Content-Length: 100000\r\n\r\n", " ", "401 Authentication required"},
		"no second request":      {"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "", "200"},
		"half a second request":  {"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /hea", "", "200"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := sendSlowly(t, r.dial(t), slow.text, slow.more)
			if slow.want == none {
				if got != "" {
					t.Errorf("answered %q", got)
				}
				return
			}
			status, message := parseAnswer(t, got)
			if got := strings.TrimSpace(status + " " + message); got != slow.want {
				t.Errorf("answered %q, want %q", got, slow.want)
			}
		})
	}
}

// parseAnswer parses a response: its status, and the message of an error.
func parseAnswer(t *testing.T, text string) (status, message string) {
	t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(strings.NewReader(text)), nil)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	status = response.Status[:3]
	if response.Header.Get("X-Request-Id") == "" {
		t.Errorf("no request id in %q", text)
	}
	if response.StatusCode < 400 {
		return status, ""
	}
	var e servertest.Error
	if err := json.Unmarshal(body, &e); err != nil || response.Header.Get("Content-Type") != "application/json" || e.Error.Code == "" {
		t.Errorf("not the shape of an error: %q, %v", text, err)
	}
	return status, e.Error.Message
}

// A client that requests large answers and does not read them is disconnected.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	r := runWithShortTimeouts(t)
	conn := r.dial(t)
	if err := conn.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	// The answers exceed the socket buffers, so the server's writes block.
	many := strings.Repeat("GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n", 200)
	eventually(t, func() bool {
		_, err := io.WriteString(conn, many)
		return err != nil
	})
}

// A malformed HTTP request gets the API's error body, although no handler sees it. Package transport tests what is malformed.
func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	r := run(t, time.Minute)
	for name, bad := range map[string]struct{ text, want string }{
		"no request":         {"hello\r\n\r\n", "400 Malformed HTTP request"},
		"an odd expectation": {"GET /healthz HTTP/1.1\r\nHost: x\r\nExpect: much\r\n\r\n", "417 Expect must be 100-continue"},
		"a large header":     {"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("x", 100_000), "431 Request header is too large"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, message := parseAnswer(t, sendSlowly(t, r.dial(t), bad.text, ""))
			if got := status + " " + message; got != bad.want {
				t.Errorf("answered %s", got)
			}
		})
	}
	t.Run("while another is answered", func(t *testing.T) {
		t.Parallel()
		got := sendSlowly(t, r.dial(t), "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nnonsense\r\n\r\n", "")
		if first, second, ok := strings.Cut(got, "ok\n"); !ok || !strings.HasPrefix(first, "HTTP/1.1 200 OK\r\n") {
			t.Errorf("answered %q", got)
		} else if status, _ := parseAnswer(t, second); status != "400" {
			t.Errorf("answered %q", second)
		}
	})
}
