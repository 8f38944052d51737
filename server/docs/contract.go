package docs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"

	"github.com/clientapps/clientapps"
)

// contractHandlers serves the contract in each of its formats. A handler reads the embedded file for each request: copies in memory
// would make each garbage collection slower, and the contract is seldom requested.
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
			text, _ := clientapps.Contract.ReadFile(d.file) // cannot fail: it was read above
			send(w, d.mediaType, text)
		})
	}
	return handlers, nil
}
