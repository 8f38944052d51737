// Command clientapps serves the API and administers its database. Run it without arguments for its usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/clientapps/clientapps/store"
)

const usage = `usage: clientapps COMMAND [flags]

  serve [--demo]                    serve the API; --demo adds example data and a token, on loopback only
  migrate up|status                 bring the schema to this program's version, or show both versions
  client create --name NAME         make a client and print its id
  client list                       list the clients
  token create --name NAME (--client ID … | --all-clients) --scope SCOPE … [--expires-in DURATION]
                                    make a token and print it, once, alone on standard output
  token list                        list the tokens, without their secrets
  token revoke ID                   end a token
  import catalog [--dry-run] [--format csv|ndjson] [--lock-time 1m] FILE|-
                                    bring the catalog to what a file says, all of it or nothing
  import apps --client ID [--dry-run] [--format csv|ndjson] [--lock-time 1m] FILE|-
                                    give a client the apps that a file names
  backup FILE                       copy an SQLite database to a new file, while it is in use
  health                            ask the server with these settings whether it runs
  version                           print version, commit and Go version

Every command takes the settings below as flags or environment variables; a flag wins.

`

func main() {
	ctx, stop := untilSignaled(context.Background(), os.Stderr)
	code := run(ctx, &process{args: os.Args[1:], environ: os.Environ(), stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr})
	stop()
	os.Exit(code)
}

// process is what a command sees of the world.
type process struct {
	args           []string
	environ        []string
	stdin          io.Reader
	stdout, stderr io.Writer
}

// errUsage marks a command line or environment that no command can start with; the exit code is 2.
var errUsage = errors.New("usage")

// run executes one command and returns its exit code: 0 done, 1 failed, 2 misused.
func run(ctx context.Context, p *process) int {
	err := dispatch(ctx, p)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = fmt.Errorf("interrupted: %w", err)
	}
	_, _ = fmt.Fprintf(p.stderr, "clientapps: %v\n", err)
	if errors.Is(err, errUsage) {
		return 2
	}
	return 1
}

func dispatch(ctx context.Context, p *process) error {
	commands := map[string]func(context.Context, *process, []string) error{
		"serve":          serve,
		"migrate up":     migrateUp,
		"migrate status": migrateStatus,
		"client create":  clientCreate,
		"client list":    clientList,
		"token create":   tokenCreate,
		"token list":     tokenList,
		"token revoke":   tokenRevoke,
		"import catalog": importCatalog,
		"import apps":    importApps,
		"backup":         backup,
		"health":         health,
		"version":        printVersion,
	}
	if len(p.args) == 0 || p.args[0] == "help" || p.args[0] == "-h" || p.args[0] == "--help" {
		_, err := fmt.Fprint(p.stdout, usage+settingsHelp())
		return err
	}
	for words := min(2, len(p.args)); words > 0; words-- {
		name := p.args[0]
		if words == 2 {
			name += " " + p.args[1]
		}
		if command, ok := commands[name]; ok {
			return command(ctx, p, p.args[words:])
		}
	}
	return fmt.Errorf("%w: no such command; see clientapps help", errUsage)
}

// withStore runs work on the configured database, which must exist, and closes it again.
func withStore(cfg Config, work func(*store.Store) error) error {
	return withStoreOf(store.Config{URL: cfg.DatabaseURL, MaxConns: 2, RowSecurity: cfg.RowSecurity, MustExist: true}, work)
}

func withStoreOf(cfg store.Config, work func(*store.Store) error) error {
	s, err := store.Open(cfg)
	if err != nil {
		return err
	}
	return errors.Join(work(s), s.Close())
}

// withSchema is withStore for work that needs this program's schema, and says what to do where it is missing.
func withSchema(ctx context.Context, cfg Config, work func(*store.Store) error) error {
	return withStore(cfg, func(s *store.Store) error {
		if err := s.Ready(ctx); err != nil {
			return err
		}
		return work(s)
	})
}
