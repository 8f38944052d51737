// Package egress makes requests to URLs that users chose, and keeps them out of internal networks that the server can reach
// (server-side request forgery). It checks the URL, and each address again when connecting to it, so that DNS rebinding, a name that
// later resolves to another address, gains nothing.
package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// ErrAddress means that an address was refused. Nothing was sent to it.
var ErrAddress = errors.New("the address is not allowed")

// Policy says what may be called.
type Policy struct {
	AllowLoopback bool           // at any port, with http too: for trials and tests
	Resolver      *net.Resolver  // nil: that of the system
	RootCAs       *x509.CertPool // nil: those of the system; others are for tests
}

const (
	// setupTimeout bounds dialing and the TLS handshake, each, which may outlast the request that began them.
	setupTimeout    = 10 * time.Second
	idleTimeout     = 30 * time.Second
	maxIdle         = 64
	maxIdlePerHost  = 2
	maxHeaderBytes  = 64 << 10
	http2PingAfter  = 15 * time.Second
	http2PingExpiry = 5 * time.Second
)

// NewTransport makes a transport that connects only to what the policy allows. It uses no proxy and, being a transport, follows no
// redirect. It does not ask for compression, so that a bound on a body is a bound on what was received.
func NewTransport(policy Policy) *http.Transport {
	dialer := &net.Dialer{Timeout: setupTimeout, Resolver: policy.Resolver, ControlContext: policy.control}
	return &http.Transport{
		Proxy:                  nil, // not from the environment: a proxy would connect unchecked
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: policy.RootCAs},
		TLSHandshakeTimeout:    setupTimeout,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeaderBytes,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		IdleConnTimeout:        idleTimeout,
		// Pings find broken connections, which would otherwise be reused again and again.
		HTTP2: &http.HTTP2Config{SendPingTimeout: http2PingAfter, PingTimeout: http2PingExpiry},
	}
}

// control checks an address after its name was resolved and before the socket connects.
func (p Policy) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp4" && network != "tcp6" {
		return ErrAddress
	}
	if p.AllowLoopback && target.Addr().Unmap().IsLoopback() || allowed(target) {
		return nil
	}
	return ErrAddress
}
