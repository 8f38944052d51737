package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/clientapps/clientapps/store"
)

// Config is what a server is made of.
type Config struct {
	Store     *store.Store // must be set
	Logger    *slog.Logger // must be set
	DemoToken string       // accepted though it has not the form of a token; "" for none

	CORSOrigins []string // origins whose scripts may call, such as https://app.example.com; none by default

	// How long a request may wait for the database before it is refused. What has become of a write whose connection was
	// lost is looked for beyond that, for as long again as the store is configured. Default 5 s
	DatabaseTimeout time.Duration
	DrainDelay      time.Duration // how long /readyz says no before the server stops to accept. Default none
	ShutdownTimeout time.Duration // how long requests may take to end when the server stops. Default 10 s
}

// Server answers the API. It is an http.Handler; Run serves it on a listener.
type Server struct {
	echo      *echo.Echo
	handler   http.Handler // echo, and what concerns the transport around it
	store     *store.Store
	log       *slog.Logger
	demoToken string
	allow     map[string]string // what the Allow header says, by route path
	timeout   time.Duration
	drain     time.Duration
	shutdown  time.Duration
	draining  atomic.Bool
}

// New makes a server. It fails when an operation of the contract would be reachable without its guard.
func New(cfg Config) (*Server, error) {
	if cfg.Store == nil || cfg.Logger == nil {
		return nil, errors.New("server: Config needs a Store and a Logger")
	}
	if cfg.DatabaseTimeout <= 0 {
		cfg.DatabaseTimeout = 5 * time.Second
	}
	if cfg.ShutdownTimeout <= 0 {
		cfg.ShutdownTimeout = 10 * time.Second
	}
	s := &Server{
		echo: echo.New(), store: cfg.Store, log: cfg.Logger, demoToken: cfg.DemoToken,
		allow: map[string]string{}, timeout: cfg.DatabaseTimeout, drain: cfg.DrainDelay, shutdown: cfg.ShutdownTimeout,
	}
	s.echo.HTTPErrorHandler = s.writeError
	s.echo.Use(around)
	if err := errors.Join(s.documents(), s.docs(), s.routes()); err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	var err error
	if s.handler, err = onWire(s.echo, cfg.CORSOrigins); err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	return s, nil
}

// Run serves on the listener until ctx ends. Then it says that it is not ready, and goes on for the drain delay while
// balancers turn away and connections end with their next answer; and then it takes no more, and lets requests under way
// finish, within the shutdown timeout.
func (s *Server) Run(ctx context.Context, listener net.Listener) error {
	h := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    64 << 10,
		// Even OPTIONS * is answered like everything else, request id and all.
		DisableGeneralOptionsHandler: true,

		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- h.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	s.draining.Store(true)
	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-time.After(s.drain):
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.shutdown)
	defer cancel()
	if err := h.Shutdown(drain); err != nil {
		return fmt.Errorf("shut down: %w", errors.Join(err, h.Close()))
	}
	return nil
}

// around stands around every route, those that do not exist too. It makes an error of a panic, so that its answer has the
// shape of all others.
func around(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		if err := wholePath(c); err != nil {
			return err
		}
		defer func() {
			switch r := recover(); r {
			case nil:
			case http.ErrAbortHandler:
				panic(r) //nolint:forbidigo // net/http's own way to drop a connection
			default:
				err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
			}
		}()
		return next(c)
	}
}
