package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/otel/trace"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/telemetry"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/webhook"
)

func (p *process) serveCommand() *cobra.Command {
	return p.command("serve", "Serve the API; --demo adds example data and a token, on loopback only", forServer, p.serve)
}

// serve answers requests until ctx ends.
func (p *process) serve(ctx context.Context, cfg Config, _ []string) error {
	logBuffer := telemetry.NewLogBuffer(p.stderr)
	p.logBuffer.Store(logBuffer)
	defer p.closeLog() // also when serving panics
	log := newLogger(logBuffer, cfg)
	tracing, err := startTracing(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer tracing.stop(ctx)
	return serveWithTracing(ctx, p, cfg, log, tracing.tracerProvider())
}

func serveWithTracing(ctx context.Context, p *process, cfg Config, log *slog.Logger, tracers trace.TracerProvider) error {
	s, err := store.Open(store.Config{
		URL: cfg.DatabaseURL, MaxConns: cfg.MaxConns, BatchByClient: cfg.BatchByClient, RowLevelSecurity: cfg.RowLevelSecurity,
		CatalogPollInterval: cfg.CatalogPoll, TokenCacheTTL: cfg.TokenCacheTTL,
		Timeout: cfg.DatabaseTimeout, Logger: log, Traces: tracers,
	})
	if err != nil {
		return err
	}
	return errors.Join(serveStore(ctx, p, cfg, s, log, tracers), s.Close())
}

func serveStore(
	ctx context.Context, p *process, cfg Config, s *store.Store, log *slog.Logger, tracers trace.TracerProvider,
) error {
	if cfg.Migrate {
		if err := s.Migrate(ctx); err != nil {
			return err
		}
	}
	demo := ""
	if cfg.Demo {
		if err := loadDemo(ctx, s, cfg.WebhookKeys); err != nil {
			return err
		}
		demo = demoToken
	}
	registry := newRegistry(cfg)
	srv, err := server.New(server.Config{
		Store: s, Logger: log, DemoToken: demo, OIDC: cfg.OIDC, CORSOrigins: cfg.CORSOrigins, MCP: cfg.MCP,
		PublicURL: cfg.PublicURL, SecurityContact: cfg.SecurityContact,
		RateLimit: cfg.RateLimit, RateBurst: cfg.RateBurst, MaxInFlight: cfg.MaxInFlight, MaxStreams: cfg.MaxStreams,
		BodyMemory: int64(cfg.BodyMemory) << 20,
		CertFile:   cfg.TLSCert, KeyFile: cfg.TLSKey,
		RequestTimeout:  cfg.RequestTimeout,
		DatabaseTimeout: cfg.DatabaseTimeout, DrainDelay: cfg.DrainDelay, ShutdownTimeout: cfg.ShutdownTimeout,
		Webhooks: webhook.Config{Keys: cfg.WebhookKeys, AllowLoopback: cfg.WebhookPrivate},
		Metrics:  registry, Traces: tracers,
	})
	if err != nil {
		return err
	}
	stopMetrics, err := serveMetrics(ctx, cfg, registry, log)
	if err != nil {
		return err
	}
	return errors.Join(serveAPI(ctx, p, cfg, srv, log), stopMetrics())
}

func serveAPI(ctx context.Context, p *process, cfg Config, srv *server.Server, log *slog.Logger) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer ignoreHangup()()
	log.InfoContext(ctx, "serving", "addr", listener.Addr().String(), "version", programVersion())
	if cfg.Demo {
		scheme := "http"
		if cfg.TLSCert != "" {
			scheme = "https"
		}
		p.logBuffer.Load().Flush() // a terminal shows what was logged before the example
		if _, err := fmt.Fprintf(p.stdout, demoBanner, scheme, listener.Addr(), p.program()); err != nil {
			return errors.Join(err, listener.Close())
		}
	}
	return srv.Run(ctx, listener)
}

// newLogger returns a logger whose lines wait in the buffer, at most until the next warning or error.
func newLogger(logBuffer *telemetry.LogBuffer, cfg Config) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.LogLevel)) // loadConfig has checked it
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewTextHandler(logBuffer, options)
	if cfg.LogFormat == "json" {
		handler = slog.NewJSONHandler(logBuffer, options)
	}
	return slog.New(telemetry.FlushWarnings(handler, logBuffer))
}
