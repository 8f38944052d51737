package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/clientapps/clientapps/bench/report"
)

func main() {
	// The kernel kills our child processes when the thread that started them ends. So stay on the main thread.
	runtime.LockOSThread()
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{ReplaceAttr: shortTime})))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func shortTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		a.Value = slog.StringValue(a.Value.Time().Format(time.TimeOnly))
	}
	return a
}

func run(ctx context.Context, args []string) error {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, fmt.Errorf("not done after %v (-limit)", o.limit))
	defer cancel()
	err = measure(ctx, o)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func measure(ctx context.Context, o options) error {
	h, err := newHarness(ctx, o)
	if err != nil {
		return err
	}
	defer h.close()
	if o.profile != "" {
		return h.writeProfile(ctx)
	}
	if err := h.start(ctx); err != nil {
		return err
	}
	if err := h.checkAnswers(ctx); err != nil {
		return fmt.Errorf("answers differ: %w", err)
	}
	workloads, err := h.measureAll(ctx)
	if err != nil { // partial results may show the cause
		fmt.Print(report.Table(workloads))
		return err
	}
	return h.results(ctx, workloads)
}
