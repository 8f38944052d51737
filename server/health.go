package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// healthz is the liveness probe. It depends on nothing but the process.
func healthz(w http.ResponseWriter, _ *http.Request) error { return writeText(w, "ok\n") }

// readyTimeout bounds the database check of the readiness probe. It is shorter than the usual timeout of probes.
const readyTimeout = 900 * time.Millisecond

// readyz is the readiness probe: the database answers, has the schema of this program, and the server is not shutting down.
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
