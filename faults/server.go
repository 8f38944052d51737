package faults

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// DatabaseTimeout is the setting of every server. No request may take longer than three times this.
const DatabaseTimeout = 2 * time.Second

// Build compiles the server as users get it, and returns the path of the program. Call it in this folder.
func Build(ctx context.Context, dir string) (string, error) {
	program := filepath.Join(dir, "clientapps")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", program, "./cmd/clientapps") //nolint:gosec // constant arguments
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return program, nil
}

// Server is the real program on a real database.
type Server struct {
	Addr string

	program string
	env     []string
	log     string
	process *Process
}

// NewServer prepares a server on a free address. env has settings of the form CLIENTAPPS_NAME=value.
func NewServer(program, databaseURL, log string, env ...string) (*Server, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	s := &Server{Addr: addr, program: program, log: log}
	s.env = append(os.Environ(), "CLIENTAPPS_DATABASE_URL="+databaseURL, "CLIENTAPPS_ADDR="+addr,
		"CLIENTAPPS_DATABASE_TIMEOUT="+DatabaseTimeout.String(), "CLIENTAPPS_LOG_LEVEL=warn",
		"CLIENTAPPS_RATE_LIMIT=0")
	s.env = append(s.env, env...)
	return s, nil
}

// Start starts the server and returns when it is ready.
func (s *Server) Start(ctx context.Context) error {
	if err := s.Launch(); err != nil {
		return err
	}
	return eventually("the server is ready, see "+s.log, func() bool { return s.Probe(ctx, "/readyz") == http.StatusOK })
}

// Launch starts the server without waiting until it is ready.
func (s *Server) Launch() (err error) {
	cmd := exec.Command(s.program, "serve") //nolint:gosec,noctx // built by us; ended by Kill or Stop
	cmd.Env = s.env
	s.process, err = start(cmd, s.log)
	return err
}

// Kill ends the server with SIGKILL.
func (s *Server) Kill() { s.process.kill() }

// Stop ends the server with SIGTERM. It returns an error when the exit code is not 0.
func (s *Server) Stop() error { return s.process.signal(syscall.SIGTERM) }

// Alive reports whether the process is running.
func (s *Server) Alive() bool {
	select {
	case <-s.process.done:
		return false
	default:
		return true
	}
}

// Probe gets a path and returns the status, or 0 when there is no answer.
func (s *Server) Probe(ctx context.Context, path string) int {
	ctx, cancel := context.WithTimeout(ctx, AnswerTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Addr+path, nil)
	if err != nil {
		return 0
	}
	answer, err := probes.Do(r)
	if err != nil {
		return 0
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

// probes opens a new connection for each probe, so that none is left over when a server restarts.
var probes = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// Run runs a clientapps command on the server's database and returns its output.
func (s *Server) Run(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, s.program, args...) //nolint:gosec // built by us
	cmd.Env = s.env
	cmd.Stdin = strings.NewReader(stdin)
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("clientapps %s: %w", strings.Join(args, " "), errors.Join(err, errors.New(problems.String())))
	}
	return strings.TrimSpace(string(out)), nil
}
