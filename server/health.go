package server

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// healthz says that the process runs. It depends on nothing else.
func healthz(c echo.Context) error { return c.String(http.StatusOK, "ok\n") }

// readyz says that the database answers and has the schema that this program needs.
func (s *Server) readyz(c echo.Context) error {
	if err := s.store.Ready(c.Request().Context()); err != nil {
		return errUnavailable(err)
	}
	return c.String(http.StatusOK, "ready\n")
}
