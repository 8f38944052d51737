package transport

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
)

// Refuse returns the request id and the JSON body for a request that net/http refuses. The status is 400, 417 or 431.
type Refuse func(status int, from net.Addr) (requestID string, body []byte)

// malformedListener rewrites net/http's plain-text 400, 417, 431 and 501 answers into the API's error body. net/http sends them
// before a handler sees the request: for a malformed request line or header, a head that is too large, an unknown transfer coding
// or an unknown expectation. A malformed request is always 400.
type malformedListener struct {
	net.Listener

	refuse Refuse
}

func (l malformedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &malformedConn{conn, l.refuse}, nil
}

type malformedConn struct {
	net.Conn

	refuse Refuse
}

// Write implements net.Conn. net/http writes such an answer in a single call.
func (c *malformedConn) Write(b []byte) (int, error) {
	status := ownStatus(b)
	if status == 0 {
		return c.Conn.Write(b)
	}
	id, body := c.refuse(status, c.RemoteAddr())
	_, err := fmt.Fprintf(c.Conn, "HTTP/1.1 %d %s\r\nCache-Control: no-store\r\nConnection: close\r\n"+
		"Content-Length: %d\r\nContent-Type: application/json\r\n"+
		"X-Content-Type-Options: nosniff\r\n%s: %s\r\n\r\n%s", status, http.StatusText(status), len(body), RequestIDHeader, id, body)
	return len(b), err
}

// CloseWrite closes only the sending half of the connection, so that a client which is still sending can read the answer.
func (c *malformedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

var (
	statusLine = []byte("HTTP/1.1 ")
	// ownHeader follows the status line of the responses that net/http sends by itself, and of no others.
	ownHeader = []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")
	badHeader = []byte("431 ")
	badExpect = []byte("417 ")
)

// ownStatus returns the status to send instead of a response of net/http itself, and 0 for a response of a handler.
func ownStatus(b []byte) int {
	line, ok := bytes.CutPrefix(b, statusLine)
	if !ok {
		return 0
	}
	own := bytes.HasPrefix(line[max(0, bytes.IndexByte(line, '\r')):], ownHeader)
	switch {
	case own && bytes.HasPrefix(line, badHeader):
		return http.StatusRequestHeaderFieldsTooLarge
	case own:
		return http.StatusBadRequest
	case bytes.HasPrefix(line, badExpect):
		return http.StatusExpectationFailed
	}
	return 0
}
