package docs

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/clientapps/clientapps/server/transport"
)

// pageFiles is the page at /docs. The files of Swagger UI are kept compressed: tools/docs/assets writes them.
//
//go:embed page
var pageFiles embed.FS

// pagePolicy allows the page only its own files. The images in Swagger UI's style sheet are data URLs.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

var mediaTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".svg":  "image/svg+xml",
	".txt":  "text/plain; charset=utf-8",
}

// pageHandlers serves the page and its files.
func pageHandlers() (map[string]http.Handler, error) {
	files, err := pageFiles.ReadDir("page")
	if err != nil {
		return nil, fmt.Errorf("docs: %w", err)
	}
	handlers := map[string]http.Handler{}
	for _, file := range files {
		name, compressed := strings.CutSuffix(file.Name(), ".gz")
		read := func() []byte {
			text, _ := pageFiles.ReadFile("page/" + file.Name()) // cannot fail: ReadDir has listed it
			return text
		}
		paths := []string{"/docs/" + name}
		if name == "index.html" {
			paths = []string{"/docs", "/docs/"}
		}
		for _, path := range paths {
			handlers[path] = pageFile(read, mediaTypes[filepath.Ext(name)], compressed)
		}
	}
	return handlers, nil
}

// pageFile serves a file of the page. A browser revalidates its copy with each use.
func pageFile(read func() []byte, mediaType string, compressed bool) http.HandlerFunc {
	sum := sha256.Sum256(read())
	tag := hex.EncodeToString(sum[:16])
	return func(w http.ResponseWriter, r *http.Request) {
		text := read()
		header := w.Header()
		header.Set("Cache-Control", "no-cache")
		header.Set("Content-Security-Policy", pagePolicy)
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("ETag", `"`+tag+`"`)
		header.Set("Referrer-Policy", "no-referrer")
		if !compressed {
			send(w, mediaType, text)
			return
		}
		header.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header.Values("Accept-Encoding")) {
			header.Set("ETag", `"`+tag+transport.GzipSuffix+`"`)
			header.Set("Content-Encoding", "gzip")
			send(w, mediaType, text)
			return
		}
		send(w, mediaType, decompress(text))
	}
}

// acceptsGzip evaluates Accept-Encoding (RFC 9110, 12.5.3).
func acceptsGzip(headers []string) bool {
	for coding := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		name, parameter, _ := strings.Cut(coding, ";")
		if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
			continue
		}
		weight, ok := strings.CutPrefix(strings.ToLower(strings.ReplaceAll(parameter, " ", "")), "q=")
		q, err := strconv.ParseFloat(weight, 64)
		return !ok || err != nil || q > 0
	}
	return false
}

// decompress decompresses an embedded file. Errors are impossible: TestDocsFiles reads every file.
func decompress(text []byte) []byte {
	reader, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return nil
	}
	whole, _ := io.ReadAll(reader)
	return whole
}
