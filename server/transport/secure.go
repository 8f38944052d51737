package transport

import "net/http"

// What every response says, shared by all: nobody writes into these.
var (
	noSniff    = []string{"nosniff"}
	noReferrer = []string{"no-referrer"}
	// A year. That browsers may not speak plain HTTP to this host is said over TLS alone (RFC 6797, 7.2).
	onlyTLS = []string{"max-age=31536000"}
)

// Secure sets the headers that keep a browser from guessing, telling and falling back.
func Secure(header http.Header, overTLS bool) {
	header["X-Content-Type-Options"] = noSniff
	header["Referrer-Policy"] = noReferrer
	if overTLS {
		header["Strict-Transport-Security"] = onlyTLS
	}
}
