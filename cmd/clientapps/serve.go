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
	return p.command("serve", "Serve the API; --demo adds example data and a token, on loopback only", ofServer, p.serve)
}

// serve answers requests until ctx ends.
func (p *process) serve(ctx context.Context, cfg Config, _ []string) error {
	lines := telemetry.NewLogBuffer(p.stderr)
	p.logBuffer.Store(lines)
	defer p.closeLog() // also when serving panics
	log := newLogger(lines, cfg)
	traces, err := startTraces(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer traces.stop(ctx)
	return serveTraced(ctx, p, cfg, log, traces.tracers())
}

func serveTraced(ctx context.Context, p *process, cfg Config, log *slog.Logger, traces trace.TracerProvider) error {
	s, err := store.Open(store.Config{
		URL: cfg.DatabaseURL, MaxConns: cfg.MaxConns, BatchByClient: cfg.BatchByClient, RowSecurity: cfg.RowSecurity,
		CatalogPollInterval: cfg.CatalogPoll, TokenTTL: cfg.TokenTTL,
		Timeout: cfg.DatabaseTimeout, Logger: log, Traces: traces,
	})
	if err != nil {
		return err
	}
	return errors.Join(serveStore(ctx, p, cfg, s, log, traces), s.Close())
}

func serveStore(
	ctx context.Context, p *process, cfg Config, s *store.Store, log *slog.Logger, traces trace.TracerProvider,
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
		Metrics:  registry, Traces: traces,
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
func newLogger(lines *telemetry.LogBuffer, cfg Config) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.LogLevel)) // loadConfig has checked it
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewTextHandler(lines, options)
	if cfg.LogFormat == "json" {
		handler = slog.NewJSONHandler(lines, options)
	}
	return slog.New(telemetry.FlushWarnings(handler, lines))
}
