// Package docs serves the documentation page, which shows the contract and sends example requests, the contract itself, and a page for
// each error code. They need no token, since the contract is public.
package docs

import (
	"errors"
	"maps"
	"net/http"
)

// Handlers returns a handler for GET and HEAD of each path.
func Handlers() (map[string]http.Handler, error) {
	all := map[string]http.Handler{}
	page, err := pageHandlers()
	contract, contractErr := contractHandlers()
	problems, problemsErr := problemHandlers()
	maps.Copy(all, page)
	maps.Copy(all, contract)
	maps.Copy(all, problems)
	return all, errors.Join(err, contractErr, problemsErr)
}

// send writes a complete response.
func send(w http.ResponseWriter, mediaType string, text []byte) {
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(text) // fails only if the client has disconnected
}
