package transport

import "net/http"

// The headers of every response. They are shared: do not write to them.
var (
	noSniff = []string{"nosniff"}
	// One year. HSTS is valid only over TLS (RFC 6797, 7.2).
	onlyTLS = []string{"max-age=31536000"}
)

// Secure sets the security headers that every response has: no sniffing, and HSTS over TLS. The other ones are for pages, and package docs
// sets them.
func Secure(header http.Header, overTLS bool) {
	header["X-Content-Type-Options"] = noSniff
	if overTLS {
		header["Strict-Transport-Security"] = onlyTLS
	}
}
