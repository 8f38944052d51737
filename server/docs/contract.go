package docs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"

	"github.com/clientapps/clientapps"
)

// contractHandlers serves the contract in each of its formats. The texts never change while the program runs. They are seldom read: a copy
// of each, kept in memory, would cost every collection of garbage more than reading them costs.
func contractHandlers() (map[string]http.Handler, error) {
	handlers := map[string]http.Handler{}
	for _, d := range []struct{ path, file, mediaType string }{
		{"/openapi.yaml", "openapi.yaml", "application/yaml"},
		{"/openapi.json", "gen/openapi.json", "application/json"},
		{"/openapi-3.1.json", "gen/openapi-3.1.json", "application/json"},
	} {
		text, err := clientapps.Contract.ReadFile(d.file)
		if err != nil {
			return nil, fmt.Errorf("read contract: %w", err)
		}
		sum := sha256.Sum256(text)
		tag := `"` + hex.EncodeToString(sum[:16]) + `"`
		handlers[d.path] = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("ETag", tag)
			text, _ := clientapps.Contract.ReadFile(d.file) // it was there
			send(w, d.mediaType, text)
		})
	}
	return handlers, nil
}
