package transport

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzhttp"
	"github.com/rs/cors"
)

// minCompressed is the smallest body in bytes that is compressed: anything over 1 KiB.
const minCompressed = 1<<10 + 1

// RequestIDHeader has the request id, in the request and in its answer.
const RequestIDHeader = "X-Request-Id"

// GzipSuffix marks the entity tag of a compressed representation: a strong tag identifies one representation, and another coding
// is another one (RFC 9110, 8.8.3.3).
const GzipSuffix = "-gzip"

// Wrap adds compression to an API for clients that accept it, and CORS (the Fetch standard) for these origins.
func Wrap(api http.Handler, origins []string) (http.Handler, error) {
	compress, err := gzhttp.NewWrapper(
		gzhttp.MinSize(minCompressed),
		gzhttp.EnableZstd(false),
		gzhttp.SuffixETag(GzipSuffix),
		gzhttp.ExceptContentTypes([]string{"text/event-stream"}), // which is sent as it is written
	)
	if err != nil {
		return nil, fmt.Errorf("compression: %w", err)
	}
	api = compressIfAccepted(compress(api), api)
	if len(origins) == 0 {
		return api, nil
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
	}).Handler(api), nil
}

// varyEncoding is the Vary header of every response, since it may be compressed.
var varyEncoding = []string{"Accept-Encoding"}

// compressIfAccepted bypasses the compressor for a request without Accept-Encoding.
func compressIfAccepted(compressed, plain http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if accepted := r.Header["Accept-Encoding"]; len(accepted) > 0 {
			for i, codings := range accepted {
				accepted[i] = strings.ReplaceAll(codings, "x-gzip", "gzip") // an alias (RFC 9110, 8.4.1.3)
			}
			compressed.ServeHTTP(w, r)
			return
		}
		if header := w.Header(); header["Vary"] == nil {
			header["Vary"] = varyEncoding
		} else {
			header.Add("Vary", varyEncoding[0])
		}
		plain.ServeHTTP(w, r)
	})
}
