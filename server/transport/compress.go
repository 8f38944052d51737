package transport

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzhttp"
)

// minCompressed is the smallest body in bytes that is compressed: anything over 1 KiB.
const minCompressed = 1<<10 + 1

// GzipSuffix marks the entity tag of a compressed representation: a strong tag identifies one representation, and another coding
// is another one (RFC 9110, 8.8.3.3).
const GzipSuffix = "-gzip"

// varyEncoding is the Vary header of every response, since it may be compressed.
var varyEncoding = []string{"Accept-Encoding"}

// Compress compresses the answers of an API for clients that accept it. Others bypass the compressor.
func Compress(api http.Handler) (http.Handler, error) {
	compress, err := gzhttp.NewWrapper(
		gzhttp.MinSize(minCompressed),
		gzhttp.EnableZstd(false),
		gzhttp.SuffixETag(GzipSuffix),
		gzhttp.ExceptContentTypes([]string{"text/event-stream"}), // which is sent as it is written
	)
	if err != nil {
		return nil, fmt.Errorf("compression: %w", err)
	}
	compressed := compress(api)
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
		api.ServeHTTP(w, r)
	}), nil
}
