package transport

import (
	"net/http"

	"github.com/rs/cors"
)

// AllowOrigins lets scripts of these origins call an API: CORS, from the Fetch standard. Without origins it changes nothing.
func AllowOrigins(api http.Handler, origins []string) http.Handler {
	if len(origins) == 0 {
		return api
	}
	return cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{
			http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		},
		AllowedHeaders: []string{
			"Authorization", "Content-Type", "If-Match", "If-None-Match", "Last-Event-ID", "Mcp-Method", "Mcp-Name",
			"Mcp-Protocol-Version", "Traceparent", "Tracestate", RequestIDHeader,
		},
		ExposedHeaders: []string{
			"Content-Disposition", "Deprecation", "ETag", "Link", "Location", "RateLimit", "RateLimit-Policy", "Retry-After", "Sunset",
			"WWW-Authenticate", RequestIDHeader,
		},
		MaxAge: 600,
		// The OPTIONS handler adds its own headers.
		OptionsPassthrough: true,
	}).Handler(api)
}
