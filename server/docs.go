package server

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/clientapps/clientapps/server/transport"
)

// docsFiles is the page at /docs, which shows the contract and tries it. The files of Swagger UI are kept compressed:
// tools/docs/assets writes them.
//
//go:embed docs
var docsFiles embed.FS

// docsPolicy allows the page what it brings itself, and nothing from elsewhere. The pictures in Swagger UI's style sheet
// are data URLs.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

var docsTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".svg":  "image/svg+xml",
	".txt":  "text/plain; charset=utf-8",
}

// docs registers the page and its files. It needs no token: it shows nothing that the contract does not.
func (s *Server) docs() error {
	files, err := docsFiles.ReadDir("docs")
	if err != nil {
		return fmt.Errorf("docs: %w", err)
	}
	for _, file := range files {
		name, compressed := strings.CutSuffix(file.Name(), ".gz")
		text, err := docsFiles.ReadFile("docs/" + file.Name())
		if err != nil {
			return fmt.Errorf("docs: %w", err)
		}
		routes := []string{"/docs/" + name}
		if name == "index.html" {
			routes = []string{"/docs", "/docs/"}
		}
		answer := docsFile(text, docsTypes[path.Ext(name)], compressed)
		for _, route := range routes {
			s.echo.GET(route, answer)
			s.echo.HEAD(route, answer)
			s.finishPath(route, []string{http.MethodGet, http.MethodHead})
		}
	}
	return nil
}

// docsFile answers with a file of the page. A browser asks each time whether its copy is still good.
func docsFile(text []byte, mediaType string, compressed bool) echo.HandlerFunc {
	sum := sha256.Sum256(text)
	tag := hex.EncodeToString(sum[:16])
	return func(c echo.Context) error {
		header := c.Response().Header()
		header.Set("Cache-Control", "no-cache")
		header.Set("Content-Security-Policy", docsPolicy)
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("ETag", entityTag(tag))
		if !compressed {
			return c.Blob(http.StatusOK, mediaType, text)
		}
		header.Set("Vary", "Accept-Encoding")
		if acceptsGzip(c.Request().Header.Values("Accept-Encoding")) {
			header.Set("ETag", entityTag(tag+transport.GzipSuffix))
			header.Set("Content-Encoding", "gzip")
			return c.Blob(http.StatusOK, mediaType, text)
		}
		plain, err := gzip.NewReader(bytes.NewReader(text))
		if err != nil {
			return err
		}
		whole, err := io.ReadAll(plain)
		if err != nil {
			return err
		}
		return c.Blob(http.StatusOK, mediaType, whole)
	}
}

// acceptsGzip reads Accept-Encoding (RFC 9110, 12.5.3).
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
