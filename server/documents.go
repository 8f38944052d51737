package server

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/clientapps/clientapps"
)

// documents registers the contract in its forms. They stand outside the API and need no token.
func (s *Server) documents() error {
	for _, d := range []struct{ path, file, mediaType string }{
		{"/openapi.yaml", "openapi.yaml", "application/yaml"},
		{"/openapi.json", "gen/openapi.json", echo.MIMEApplicationJSON},
		{"/openapi-3.1.json", "gen/openapi-3.1.json", echo.MIMEApplicationJSON},
	} {
		text, err := clientapps.Contract.ReadFile(d.file)
		if err != nil {
			return fmt.Errorf("read contract: %w", err)
		}
		answer := constant(text, d.mediaType)
		s.echo.GET(d.path, answer)
		s.echo.HEAD(d.path, answer)
		s.finishPath(d.path, []string{http.MethodGet, http.MethodHead})
	}
	return nil
}

// constant answers with a text that never changes while the program runs.
func constant(text []byte, mediaType string) echo.HandlerFunc {
	sum := sha256.Sum256(text)
	tag := entityTag(hex.EncodeToString(sum[:16]))
	return func(c echo.Context) error {
		c.Response().Header().Set("ETag", tag)
		return c.Blob(http.StatusOK, mediaType, text)
	}
}
