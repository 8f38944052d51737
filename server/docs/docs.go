// Package docs has the documentation page, which shows the contract and tries it, and the contract itself in its forms. They
// need no token: they tell nothing but the contract.
package docs

import (
	"errors"
	"maps"
	"net/http"
)

// Handlers returns what answers GET and HEAD on each path.
func Handlers() (map[string]http.Handler, error) {
	all := map[string]http.Handler{}
	page, err := pageHandlers()
	contract, other := contractHandlers()
	maps.Copy(all, page)
	maps.Copy(all, contract)
	return all, errors.Join(err, other)
}

// send answers with a whole text.
func send(w http.ResponseWriter, mediaType string, text []byte) {
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(text) // a client that has gone cannot be told
}
