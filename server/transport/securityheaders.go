package transport

import "net/http"

// The headers of every response. They are shared: do not write to them.
var (
	noSniff = []string{"nosniff"}
	// One year. HSTS is valid only over TLS (RFC 6797, 7.2).
	hsts = []string{"max-age=31536000"}
)

// SetSecurityHeaders sets the security headers of every response: X-Content-Type-Options, and over TLS Strict-Transport-Security.
// Package docs sets those of pages.
func SetSecurityHeaders(header http.Header, overTLS bool) {
	header["X-Content-Type-Options"] = noSniff
	if overTLS {
		header["Strict-Transport-Security"] = hsts
	}
}
