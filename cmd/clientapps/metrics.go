package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// newRegistry returns a registry with the metrics of the process, or nil when metrics are off.
func newRegistry(cfg Config) *prometheus.Registry {
	if cfg.MetricsAddr == "" {
		return nil
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "clientapps_build_info", Help: "Always 1. The labels are the versions of the program and of Go.",
		ConstLabels: prometheus.Labels{"version": programVersion(), "goversion": runtime.Version()},
	})
	build.Set(1)
	registry := prometheus.NewRegistry()
	registry.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}

// serveMetrics answers GET /metrics on a listener of its own, so that clients of the API need not reach it. stop ends it.
func serveMetrics(ctx context.Context, cfg Config, registry *prometheus.Registry, log *slog.Logger) (stop func() error, err error) {
	if registry == nil {
		return func() error { return nil }, nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.MetricsAddr)
	if err != nil {
		return nil, fmt.Errorf("listen for metrics: %w", err)
	}
	errorLog := slog.NewLogLogger(log.Handler(), slog.LevelWarn)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorLog: errorLog, MaxRequestsInFlight: 4}))
	metricsServer := &http.Server{
		Handler: mux, ErrorLog: errorLog,
		ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
	}
	log.InfoContext(ctx, "metrics", "url", "http://"+listener.Addr().String()+"/metrics")
	served := make(chan error, 1)
	go func() { served <- metricsServer.Serve(listener) }()
	return func() error {
		err := metricsServer.Close()
		if serveErr := <-served; !errors.Is(serveErr, http.ErrServerClosed) {
			err = errors.Join(err, fmt.Errorf("serve metrics: %w", serveErr))
		}
		return err
	}, nil
}
