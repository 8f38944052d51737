// Package transport serves an API over HTTP: timeouts, TLS with a certificate that is reloaded when it changes, security headers,
// CORS and compression.
package transport

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// RequestIDHeader has the request id, in the request and in its answer.
const RequestIDHeader = "X-Request-Id"

// Timeouts bound how long a client can keep a connection busy.
type Timeouts struct {
	Header  time.Duration // for reading the head of a request
	Request time.Duration // for reading a request; writing its answer may take as long again
	Idle    time.Duration // between two requests
}

// NewServer makes the HTTP server of a handler. It logs connection errors as warnings.
func NewServer(handler http.Handler, timeouts Timeouts, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: timeouts.Header,
		ReadTimeout:       timeouts.Request,
		WriteTimeout:      2 * timeouts.Request, // an answer may start at the last moment
		IdleTimeout:       timeouts.Idle,
		MaxHeaderBytes:    64 << 10,
		// The handler also gets OPTIONS *, so that its answer has a request id.
		DisableGeneralOptionsHandler: true,

		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// Serve serves until the server is shut down. With a certificate it uses TLS 1.2 or newer and HTTP/2. Over plain HTTP, refuse
// makes the answer to malformed requests.
func Serve(server *http.Server, listener net.Listener, cert *Certificate, refuse Refuse) error {
	if cert == nil {
		return server.Serve(malformedListener{listener, refuse})
	}
	server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: cert.get}
	return server.ServeTLS(listener, "", "")
}
