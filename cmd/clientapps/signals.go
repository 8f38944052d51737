package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// exitInterrupted is the exit code after the second signal.
const exitInterrupted = 1

// lastLineTimeout bounds how long the second signal waits for a standard error that nobody reads.
const lastLineTimeout = time.Second

// cancelOnSignal returns a context that ends with the first SIGINT or SIGTERM. The second signal ends the process at once, without
// waiting for requests: writeLastLine has a second to write the log lines that wait, and one more. stop restores the default handling of
// signals.
func cancelOnSignal(ctx context.Context, writeLastLine func(line string)) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
			cancel()
		case <-ctx.Done():
			return
		}
		second := <-signals
		written := make(chan struct{})
		go func() {
			writeLastLine(fmt.Sprintf("second signal (%v): ended at once", second))
			close(written)
		}()
		select {
		case <-written:
		case <-time.After(lastLineTimeout):
		}
		os.Exit(exitInterrupted)
	}()
	return ctx, func() { signal.Stop(signals); cancel() }
}

// ignoreHangup keeps a server alive when its terminal is closed. SIGHUP reloads nothing: changed certificates are read
// automatically, and all other settings are fixed when the server starts.
func ignoreHangup() (stop func()) {
	signal.Ignore(syscall.SIGHUP)
	return func() { signal.Reset(syscall.SIGHUP) }
}

// interruptible reads from r until ctx ends. A read of standard input cannot be interrupted otherwise. Bytes that r returns after
// ctx has ended are lost.
func interruptible(ctx context.Context, r io.Reader) io.Reader {
	out, in := io.Pipe()
	go func() {
		_, err := io.Copy(in, r)
		_ = in.CloseWithError(err) // never fails
	}()
	context.AfterFunc(ctx, func() { _ = in.CloseWithError(ctx.Err()) })
	return out
}
