package server

import "net/http"

// What Cache-Control says, shared by all responses: nobody writes into these.
var (
	// What an entity tag names may be kept, and asked for again with it; by nobody but the one it was sent to.
	keepPrivate = []string{"private, no-cache"}
	keepNothing = []string{"no-store"}
)

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
