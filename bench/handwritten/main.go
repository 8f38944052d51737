// Command handwritten is a reference for speed: it gives the same answers as the server, with net/http and pgx and one statement per
// request. It has no contract, no metrics, no log and no protection against mistakes.
//
// -catalog joined reads the catalog in SQL instead of from memory. -coalesce lets waiting writes share a commit. -static answers without
// a database, to measure HTTP alone.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "handwritten:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	addr := flag.String("addr", "127.0.0.1:8081", "host:port to listen on")
	url := flag.String("database-url", "", "postgres://…")
	conns := flag.Int("conns", 16, "connections to the database")
	catalog := flag.String("catalog", "memory", "memory or joined")
	coalesce := flag.Bool("coalesce", false, "let waiting writes share a commit")
	static := flag.Bool("static", false, "always answer the same, without a database")
	flag.Parse()
	if *static {
		return serve(ctx, *addr, http.HandlerFunc(answerStatic))
	}
	cfg, err := pgxpool.ParseConfig(*url)
	if err != nil {
		return err
	}
	cfg.MaxConns = int32(*conns) //nolint:gosec // a small number
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer pool.Close()
	s := &server{db: pool, joined: *catalog == "joined"}
	if !s.joined {
		if err := s.loadCatalog(ctx); err != nil {
			return err
		}
	}
	if *coalesce {
		s.writes = &groupCommit{db: pool, busy: map[key]bool{}}
	}
	return serve(ctx, *addr, s)
}

func serve(ctx context.Context, addr string, handler http.Handler) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	h := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	stop := context.AfterFunc(ctx, func() { _ = h.Close() })
	defer stop()
	if err := h.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
