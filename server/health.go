package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// healthz says that the process runs. It depends on nothing else.
func healthz(c echo.Context) error { return c.String(http.StatusOK, "ok\n") }

// readyTimeout is how long the database may take to answer before the server is not ready: less than probes wait.
const readyTimeout = 900 * time.Millisecond

// readyz says that the database answers, that it has the schema that this program needs, and that the server does not stop.
func (s *Server) readyz(c echo.Context) error {
	if s.draining.Load() {
		return errUnavailable(causeStopping, errors.New("the server is stopping"))
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), readyTimeout)
	defer cancel()
	if err := s.store.Ready(ctx); err != nil {
		return errUnavailable(databaseCause(err), err)
	}
	return c.String(http.StatusOK, "ready\n")
}
