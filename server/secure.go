package server

import (
	"net/http"
)

// What every response says, shared by all: nobody writes into these.
var (
	noSniff    = []string{"nosniff"}
	noReferrer = []string{"no-referrer"}
	// A year. That browsers may not speak plain HTTP to this host is said over TLS alone (RFC 6797, 7.2).
	onlyTLS = []string{"max-age=31536000"}
	// What an entity tag names may be kept, and asked for again with it; by nobody but the one it was sent to.
	keepPrivate = []string{"private, no-cache"}
	keepNothing = []string{"no-store"}
)

// secure sets the headers that keep a browser from guessing, telling and falling back.
func secure(header http.Header, overTLS bool) {
	header["X-Content-Type-Options"] = noSniff
	header["Referrer-Policy"] = noReferrer
	if overTLS {
		header["Strict-Transport-Security"] = onlyTLS
	}
}

// setCaching says who may keep the response, unless its handler did. A 304 says what the 200 would have said.
func setCaching(header http.Header) {
	switch {
	case header["Cache-Control"] != nil:
	case header["Etag"] != nil:
		header["Cache-Control"] = keepPrivate
	default:
		header["Cache-Control"] = keepNothing
	}
}
