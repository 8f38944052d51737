package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// healthz says that the process runs. It depends on nothing else.
func healthz(w http.ResponseWriter, _ *http.Request) error { return writeText(w, "ok\n") }

// readyTimeout is how long the database may take to answer before the server is not ready: less than probes wait.
const readyTimeout = 900 * time.Millisecond

// readyz says that the database answers, that it has the schema that this program needs, and that the server does not stop.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) error {
	if s.draining.Load() {
		return errUnavailable(causeStopping, errors.New("the server is stopping"))
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if err := s.store.Ready(ctx); err != nil {
		return errUnavailable(databaseCause(err), err)
	}
	return writeText(w, "ready\n")
}

func writeText(w http.ResponseWriter, text string) error {
	w.Header().Set(headerContentType, "text/plain; charset=UTF-8")
	_, err := io.WriteString(w, text)
	return err
}
