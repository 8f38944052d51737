package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// exitInterrupted is the exit code of a process that was told twice to end.
const exitInterrupted = 1

// untilSignaled returns a context that ends with the first SIGINT or SIGTERM. The second ends the process at once: who
// repeats it does not want to wait for requests any longer. stop gives the signals back.
func untilSignaled(ctx context.Context, stderr io.Writer) (_ context.Context, stop func()) {
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
		again := <-signals
		_, _ = fmt.Fprintf(stderr, "clientapps: %v again: ended at once\n", again)
		os.Exit(exitInterrupted)
	}()
	return ctx, func() { signal.Stop(signals); cancel() }
}

// ignoreHangup keeps a server alive when the terminal that it was started from is closed. There is nothing to reload: a
// certificate is read again by itself, and all else is set when the server starts.
func ignoreHangup() (stop func()) {
	signal.Ignore(syscall.SIGHUP)
	return func() { signal.Reset(syscall.SIGHUP) }
}

// interruptible reads from r until ctx ends. A read of standard input cannot be interrupted otherwise; what r gives to a
// read that was under way is lost.
func interruptible(ctx context.Context, r io.Reader) io.Reader {
	out, in := io.Pipe()
	go func() {
		_, err := io.Copy(in, r)
		_ = in.CloseWithError(err) // never fails
	}()
	context.AfterFunc(ctx, func() { _ = in.CloseWithError(ctx.Err()) })
	return out
}
