// Command clientapps serves the API and administers its database. Run it without arguments for its commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/clientapps/clientapps/server/telemetry"
	"github.com/clientapps/clientapps/shell"
	"github.com/clientapps/clientapps/store"
)

func main() {
	p := &process{name: os.Args[0], args: hideArguments(os.Args[1:]), environ: os.Environ(), stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	ctx, stop := cancelOnSignal(context.Background(), p.writeLastLine)
	code := run(ctx, p)
	stop()
	os.Exit(code)
}

// process has the inputs and outputs of a command, which tests replace.
type process struct {
	name           string // of the program, as it was called; "" for clientapps
	args           []string
	environ        []string
	stdin          io.Reader
	stdout, stderr io.Writer

	logBuffer atomic.Pointer[telemetry.LogBuffer] // of a server, whose log lines it writes to stderr; nil for other commands
}

// closeLog writes the log lines that still wait. Later ones are written at once.
func (p *process) closeLog() {
	if b := p.logBuffer.Load(); b != nil {
		b.Close()
	}
}

// program returns the name of the program, quoted for a shell.
func (p *process) program() string {
	if p.name == "" {
		return "clientapps"
	}
	return shell.Quote(p.name)
}

// writeLastLine writes a line to stderr, after all log lines.
func (p *process) writeLastLine(line string) {
	p.closeLog()
	_, _ = fmt.Fprintln(p.stderr, "clientapps: "+line)
}

// errUsage marks errors of the command line or the environment. The exit code is 2.
var errUsage = errors.New("usage")

// run executes one command and returns its exit code: 0 for success, 1 for failure, 2 for wrong usage.
func run(ctx context.Context, p *process) int {
	err := p.execute(ctx)
	if err == nil {
		return 0
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = fmt.Errorf("interrupted: %w", err)
	}
	p.writeLastLine(err.Error())
	if errors.Is(err, errUsage) || errors.Is(err, shell.ErrUsage) {
		return 2
	}
	return 1
}

// withStore opens the configured database, which must exist, runs work, and closes it.
func withStore(cfg Config, work func(*store.Store) error) error {
	return withConfiguredStore(store.Config{URL: cfg.DatabaseURL, MaxConns: 2, RowLevelSecurity: cfg.RowLevelSecurity, MustExist: true}, work)
}

// withConfiguredStore is withStore for any configuration of the store.
func withConfiguredStore(cfg store.Config, work func(*store.Store) error) error {
	s, err := store.Open(cfg)
	if err != nil {
		return err
	}
	return errors.Join(work(s), s.Close())
}

// withSchema is withStore for work that needs this program's schema. Its error says how to migrate.
func withSchema(ctx context.Context, cfg Config, work func(*store.Store) error) error {
	return withStore(cfg, func(s *store.Store) error {
		if err := s.Ready(ctx); err != nil {
			return err
		}
		return work(s)
	})
}
