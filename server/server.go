// Package server is the HTTP side of clientapps. The path of a request:
//
//	transport    timeouts, TLS, malformed HTTP; gzip, CORS
//	ServeHTTP    request id, log line, metrics, trace; 304                server.go, requeststate.go, telemetry, conditional
//	echo router  no route: 404; wrong method: 405 with Allow              routes.go
//	guard        built once per operation of the contract:                guard.go
//	             authenticate (401), authorize (403),                     authenticate.go, authorize.go
//	             no capacity (503), too many requests (429),              capacity, ratelimit
//	             body (413, 415), parameters and schema (400)             body.go, params.go, strictjson, validate
//	gen          generated strict wrapper: typed request object
//	handler      map, call the store, map                                 apps.go, fields.go, convert.go
//	writeError   any error ends here: the one place that knows statuses   errors.go
//
// A message of an assistant (mcp.go) becomes requests that begin at ServeHTTP.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/clientapps/clientapps/server/capacity"
	"github.com/clientapps/clientapps/server/oidc"
	"github.com/clientapps/clientapps/server/ratelimit"
	"github.com/clientapps/clientapps/server/telemetry"
	"github.com/clientapps/clientapps/server/transport"
	"github.com/clientapps/clientapps/server/wellknown"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/webhook"
)

// Config configures a server.
type Config struct {
	Store     *store.Store // must be set
	Logger    *slog.Logger // must be set
	DemoToken string       // accepted although it is not shaped like a token; "" for none

	OIDC oidc.Config // the identity provider whose access tokens are also accepted; none by default

	CertFile, KeyFile string // a PEM certificate and its key: Run uses TLS, and reloads them when they change

	// The scheme, host and port by which callers reach the server, such as https://apps.example.com. Default: each request's Host,
	// with https over TLS. It is in the documents at /.well-known/, and in the challenge of a 401 with an identity provider
	PublicURL       string
	SecurityContact string // an https, mailto or tel URI for /.well-known/security.txt; "" for no such file

	MCP bool // serves assistants at /mcp, by the Model Context Protocol

	CORSOrigins []string // origins whose scripts may call the API, such as https://app.example.com; none by default

	Webhooks webhook.Config // the zero value refuses to make webhooks, and delivers nothing

	RateLimit    int              // requests per second of one token for one client; 0: no limit
	RateBurst    int              // requests of one token for one client at once. Default 1
	MaxInFlight  int              // requests in flight, at most half of them of one token. Default 1024
	MaxStreams   int              // streams of changes, at most half of them of one token. Default 1024
	MaxTransfers int              // exports and imports at once, at most half of them of one token. Default 4
	BodyMemory   int64            // bytes for all request bodies, at most a quarter of them for one token. Default 128 MiB
	Clock        func() time.Time // for the limits, the certificate, the provider's tokens and webhooks. Default time.Now

	RequestTimeout time.Duration // for reading a request; writing its answer may take as long again. Default 15 s
	HeaderTimeout  time.Duration // for reading the head of a request. Default 10 s, at most RequestTimeout
	UploadTimeout  time.Duration // for reading the file of an import. Default 5 min
	IdleTimeout    time.Duration // between two requests of a connection. Default 2 min
	Heartbeat      time.Duration // between two heartbeats of a stream without changes. Default 15 s
	// For the database work of a request. A request that takes longer gets 503. Resolving a commit in doubt may take longer, as
	// configured in the store. Default 5 s
	DatabaseTimeout time.Duration
	DrainDelay      time.Duration // how long /readyz answers 503 before the server stops accepting. Default none
	ShutdownTimeout time.Duration // for requests in flight when the server stops. Default 10 s

	Metrics *prometheus.Registry // for the metrics of the server and its store; nil for none
	Traces  trace.TracerProvider // for the spans of requests; nil for none
}

// Server answers the API. It is an http.Handler; Run serves it on a listener.
type Server struct {
	router          *router
	handler         http.Handler // the router inside compression and CORS
	store           *store.Store
	log             *slog.Logger
	demoToken       string
	provider        *oidc.Provider // nil: only the server's own tokens
	wellKnown       *wellknown.Site
	limiter         *ratelimit.Limiter // nil: no limit
	inFlight        *capacity.Requests
	streams         *capacity.Requests
	transfers       *capacity.Requests
	bodyMemory      *capacity.Memory
	observer        *telemetry.Observer
	cert            *transport.Certificate // nil: plain HTTP
	timeouts        transport.Timeouts
	databaseTimeout time.Duration
	uploadTimeout   time.Duration // of reading the file of an import
	drainDelay      time.Duration
	shutdownTimeout time.Duration
	draining        atomic.Bool

	streamSettings streamSettings
	endStreams     context.CancelFunc

	webhooks *webhook.Worker

	mcp *mcpEndpoint // nil: none
}

// New makes a server. It fails if an operation of the contract would have no guard.
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
	if cfg.RequestTimeout <= 0 {
		cfg.RequestTimeout = 15 * time.Second
	}
	if cfg.HeaderTimeout <= 0 {
		cfg.HeaderTimeout = 10 * time.Second
	}
	if cfg.IdleTimeout <= 0 {
		cfg.IdleTimeout = 2 * time.Minute
	}
	if cfg.MaxInFlight <= 0 {
		cfg.MaxInFlight = 1024
	}
	if cfg.MaxStreams <= 0 {
		cfg.MaxStreams = 1024
	}
	if cfg.MaxTransfers <= 0 {
		cfg.MaxTransfers = 4
	}
	if cfg.UploadTimeout <= 0 {
		cfg.UploadTimeout = 5 * time.Minute
	}
	if cfg.Heartbeat <= 0 {
		cfg.Heartbeat = 15 * time.Second
	}
	if cfg.BodyMemory <= 0 {
		cfg.BodyMemory = 128 << 20
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	cfg.Logger = slog.New(telemetry.Redact(cfg.Logger.Handler()))
	s := &Server{
		store: cfg.Store, log: cfg.Logger, demoToken: cfg.DemoToken,
		limiter:         ratelimit.New(cfg.RateLimit, cfg.RateBurst, cfg.Clock),
		inFlight:        capacity.NewRequests(cfg.MaxInFlight),
		streams:         capacity.NewStreams(cfg.MaxStreams),
		transfers:       capacity.NewTransfers(cfg.MaxTransfers),
		bodyMemory:      capacity.NewMemory(cfg.BodyMemory, maxBodyMemory(maxBody)),
		databaseTimeout: cfg.DatabaseTimeout, uploadTimeout: cfg.UploadTimeout,
		drainDelay: cfg.DrainDelay, shutdownTimeout: cfg.ShutdownTimeout,
		timeouts: transport.Timeouts{
			Header: min(cfg.HeaderTimeout, cfg.RequestTimeout), Request: cfg.RequestTimeout, Idle: cfg.IdleTimeout,
		},
	}
	stopping, endStreams := context.WithCancel(context.Background())
	s.streamSettings, s.endStreams = streamSettings{cfg.Heartbeat, stopping}, endStreams
	s.webhooks = webhook.New(cfg.Webhooks, s.store, s.log, cfg.Clock, encodeDelivery)
	var err error
	if s.observer, err = telemetry.New(telemetry.Config{
		Log: cfg.Logger, AllowRefusal: lineLimit(cfg.Clock), AllowAuthFailure: lineLimit(cfg.Clock),
		Metrics: cfg.Metrics, Stats: cfg.Store.Stats, MaxInFlight: cfg.MaxInFlight, Causes: causes(), Outcomes: webhook.Outcomes(),
		Traces: cfg.Traces, TracedPaths: basePath + "/",
	}); err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	if cfg.MCP {
		if s.mcp, err = s.newMCPEndpoint(cfg); err != nil {
			return nil, fmt.Errorf("server: %w", err)
		}
	}
	if s.wellKnown, err = wellknown.New(wellknown.Config{
		PublicURL: cfg.PublicURL, SecurityContact: cfg.SecurityContact, Issuer: cfg.OIDC.Issuer, Scopes: Scopes(),
		BasePath: basePath, MCP: cfg.MCP, Clock: cfg.Clock,
	}); err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	if s.router, err = s.newRouter(); err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	cfg.OIDC.Scopes = Scopes()
	// At most this many requests may wait for the provider, so that it cannot occupy all places.
	if s.provider, err = oidc.New(cfg.OIDC, cfg.MaxInFlight/4, s.log, cfg.Clock); err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	if s.cert, err = transport.LoadCertificate(cfg.CertFile, cfg.KeyFile, s.log, cfg.Clock); err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	compressed, err := transport.Compress(s.router)
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	s.handler = transport.AllowOrigins(compressed, cfg.CORSOrigins)
	return s, nil
}

// lineLimit limits log lines that anybody can provoke: to 10 per second, and 100 at once.
func lineLimit(clock func() time.Time) (allow func() bool) {
	limiter := ratelimit.New(10, 100, clock)
	return func() bool { return limiter.Take(ratelimit.Key{}).OK }
}

// ServeHTTP sets the request id, serves the request and writes its log line.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	state := newRequestState(w, r)
	w.Header()[transport.RequestIDHeader] = state.requestID[:]
	if s.draining.Load() || len(r.TransferEncoding) > 0 {
		// While the server shuts down, the next request should go to another server. After a chunked request the connection
		// closes too: net/http does not report a Content-Length beside the chunks, by which a proxy may have split the requests
		// (RFC 9112, 6.3).
		w.Header().Set("Connection", "close")
	}
	transport.SetSecurityHeaders(w.Header(), r.TLS != nil)
	r = r.WithContext(s.observer.Begin(state, r, &state.observed))
	defer func() { s.observer.End(r, &state.observed, start, time.Since(start)) }()
	s.handler.ServeHTTP(state, r)
}

// Run serves on the listener until ctx is done. Then /readyz answers 503 for the drain delay, while requests are still served and
// each answer closes its connection. Then Run stops accepting, and requests in flight finish within the shutdown timeout. Streams
// end at once.
// Meanwhile it erases the rows of clients that are being deleted, and delivers to webhooks. Deliveries under way end before Run does.
func (s *Server) Run(ctx context.Context, listener net.Listener) error {
	workerCtx, stop := context.WithCancel(ctx)
	var workers sync.WaitGroup
	workers.Go(func() { s.store.EraseDeletedClients(workerCtx) })
	workers.Go(func() { s.webhooks.Run(workerCtx) })
	defer workers.Wait()
	defer stop()
	httpServer := transport.NewServer(s, s.timeouts, s.log)
	served := make(chan error, 1)
	go func() { served <- transport.Serve(httpServer, listener, s.cert, s.refuseMalformed) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	s.draining.Store(true)
	s.endStreams() // their readers reconnect to another server
	s.log.Info("shutting down", "drain_delay", s.drainDelay, "in_flight", s.inFlight.Count())
	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-time.After(s.drainDelay):
	}
	shutdownCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.shutdownTimeout)
	defer cancel()
	s.log.Info("waiting for requests", "timeout", s.shutdownTimeout, "in_flight", s.inFlight.Count())
	if err := httpServer.Shutdown(shutdownCtx); err != nil {
		s.log.Warn("shut down before all requests had ended", "in_flight", s.inFlight.Count())
		return fmt.Errorf("shut down: %w", errors.Join(err, httpServer.Close()))
	}
	s.log.Info("shut down")
	return nil
}
