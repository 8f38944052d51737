package server

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"github.com/clientapps/clientapps/gen"
)

// httpServer bounds how long anybody can keep a connection busy: a request's head, its body, its answer, and the time between
// two requests.
func (s *Server) httpServer() *http.Server {
	return &http.Server{
		Handler:           s,
		ReadHeaderTimeout: s.headerTimeout,
		ReadTimeout:       s.timeout,
		// An answer that was ready at the last moment has as long again to be taken.
		WriteTimeout:   2 * s.timeout,
		IdleTimeout:    s.idleTimeout,
		MaxHeaderBytes: 64 << 10,
		// Even OPTIONS * is answered like everything else, request id and all.
		DisableGeneralOptionsHandler: true,

		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
}

// accept serves with TLS where there is a certificate: 1.2 or newer, and HTTP/2.
func (s *Server) accept(h *http.Server, listener net.Listener) error {
	if s.cert == nil {
		return h.Serve(malformedListener{listener, s.log})
	}
	h.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.cert.get}
	return h.ServeTLS(listener, "", "")
}

// malformedListener gives the API's shape to what net/http answers by itself, before there is a request that a handler
// could see: a request line or a header that is none, a header that is too large, an encoding or an expectation that it
// does not know. net/http's status stands, but for what is plainly malformed: that is 400.
type malformedListener struct {
	net.Listener

	log *slog.Logger
}

func (l malformedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &malformedConn{Conn: conn, log: l.log}, nil
}

type malformedConn struct {
	net.Conn

	log *slog.Logger
}

// Write implements net.Conn. net/http writes such an answer in one piece.
func (c *malformedConn) Write(b []byte) (int, error) {
	e := malformed(b)
	if e == nil {
		return c.Conn.Write(b)
	}
	id := requestID("")
	c.log.Info("malformed request", "status", e.Status, "remote_addr", c.RemoteAddr().String(), "request_id", id)
	body, err := encodeError(e)
	if err == nil {
		_, err = fmt.Fprintf(c.Conn, "HTTP/1.1 %d %s\r\nCache-Control: no-store\r\nConnection: close\r\n"+
			"Content-Length: %d\r\nContent-Type: application/json\r\nReferrer-Policy: no-referrer\r\n"+
			"X-Content-Type-Options: nosniff\r\n%s: %s\r\n\r\n%s", e.Status, http.StatusText(e.Status), len(body), headerRequestID, id, body)
	}
	return len(b), err
}

// CloseWrite ends the answer and not the connection, so that a client which still sends gets to read it.
func (c *malformedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

var (
	statusLine = []byte("HTTP/1.1 ")
	// ownHeader is what net/http's own answers have behind their status line, and no other does.
	ownHeader = []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")
	badHeader = []byte("431 ")
	badExpect = []byte("417 ")
)

// malformed says what is wrong with the request when net/http answers by itself, and nil otherwise.
func malformed(b []byte) *Error {
	line, ok := bytes.CutPrefix(b, statusLine)
	if !ok {
		return nil
	}
	own := bytes.HasPrefix(line[max(0, bytes.IndexByte(line, '\r')):], ownHeader)
	switch {
	case own && bytes.HasPrefix(line, badHeader):
		return &Error{
			Status: http.StatusRequestHeaderFieldsTooLarge, Code: gen.ErrorCodeHeaderFieldsTooLarge,
			Message: "Request header is too large",
		}
	case own:
		return invalidRequest("Malformed HTTP request", nil)
	case bytes.HasPrefix(line, badExpect):
		return &Error{
			Status: http.StatusExpectationFailed, Code: gen.ErrorCodeExpectationFailed, Message: "Expect must be 100-continue",
		}
	}
	return nil
}
