package transport

import "net/http"

// The headers of every response. They are shared: do not write to them.
var (
	noSniff    = []string{"nosniff"}
	noReferrer = []string{"no-referrer"}
	// One year. HSTS is valid only over TLS (RFC 6797, 7.2).
	onlyTLS = []string{"max-age=31536000"}
)

// Secure sets the security headers: no sniffing, no caching, no referrer, and HSTS over TLS.
func Secure(header http.Header, overTLS bool) {
	header["X-Content-Type-Options"] = noSniff
	header["Referrer-Policy"] = noReferrer
	if overTLS {
		header["Strict-Transport-Security"] = onlyTLS
	}
}
