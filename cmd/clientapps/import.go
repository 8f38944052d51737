package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/clientapps/clientapps/server/rowfile"
	"github.com/clientapps/clientapps/store"
)

func (p *process) importCatalogCommand() *cobra.Command {
	in := &fileImport{process: p}
	c := p.command("catalog FILE", "Import catalog apps from a file, all or nothing; - is standard input", forDatabase, in.catalog)
	in.addFlags(c)
	return c
}

func (in *fileImport) catalog(ctx context.Context, cfg Config, args []string) error {
	if err := in.configure(cfg, args[0]); err != nil {
		return err
	}
	if in.dryRun {
		ctx = store.DryRun(ctx)
	}
	return in.run(ctx, func(s *store.Store, file io.Reader, opts store.ImportOptions) (string, error) {
		rows, err := rowfile.Catalog(file, in.format)
		if err != nil {
			return "", err
		}
		result, err := s.ImportCatalog(ctx, rows, commandActor("import"), opts)
		return fmt.Sprintf("%s; vendors: %d created, %d updated; categories: %d created",
			counts(result), result.VendorsCreated, result.VendorsUpdated, result.CategoriesCreated), err
	})
}

func (p *process) importAppsCommand() *cobra.Command {
	in := &fileImport{process: p}
	c := p.command("apps FILE", "Import the apps of a client from a file, all or nothing; - is standard input", forDatabase, in.apps)
	in.addFlags(c)
	c.Flags().StringVar(&in.client, "client", "", "id of the client that the apps belong to")
	return c
}

func (in *fileImport) apps(ctx context.Context, cfg Config, args []string) error {
	if err := in.configure(cfg, args[0]); err != nil {
		return err
	}
	if in.dryRun {
		ctx = store.DryRun(ctx)
	}
	id, err := uuid.Parse(in.client)
	if err != nil {
		return fmt.Errorf("%w: --client must be the UUID of a client", errUsage)
	}
	actor := commandActor("import")
	return in.run(ctx, func(s *store.Store, file io.Reader, opts store.ImportOptions) (string, error) {
		rows, err := rowfile.Apps(file, in.format)
		if err != nil {
			return "", err
		}
		result, err := s.ImportApps(ctx, id, rows, actor, opts)
		return fmt.Sprintf("%s; request id %s", counts(result), actor.RequestID), err
	})
}

func counts(r store.ImportResult) string {
	return fmt.Sprintf("%d rows: %d created, %d updated, %d unchanged", r.Rows(), r.Created, r.Updated, r.Unchanged)
}

// fileImport has the command line of both commands.
type fileImport struct {
	process *process
	cfg     Config
	path    string // or - for standard input
	format  rowfile.Format
	dryRun  bool
	client  string // of import apps

	lockTime time.Duration
}

func (in *fileImport) addFlags(c *cobra.Command) {
	flags := c.Flags()
	flags.BoolVar(&in.dryRun, "dry-run", false, "print what an import would do, and write nothing")
	flags.DurationVar(&in.lockTime, "lock-time", store.DefaultLockTime,
		"how long the import may block other writes, once the file is read; after that nothing is written")
	flags.StringVar((*string)(&in.format), "format", "", "csv or ndjson (default: by the file's extension)")
}

// configure takes over the settings and the path, and checks the flags.
func (in *fileImport) configure(cfg Config, path string) error {
	in.cfg, in.path = cfg, path
	if in.format == "" {
		switch strings.ToLower(filepath.Ext(in.path)) {
		case ".csv":
			in.format = rowfile.CSV
		case ".ndjson", ".jsonl":
			in.format = rowfile.NDJSON
		}
	}
	if in.lockTime <= 0 {
		return fmt.Errorf("%w: --lock-time must be more than 0", errUsage)
	}
	if err := oneOf(string(in.format), string(rowfile.CSV), string(rowfile.NDJSON)); err != nil {
		return fmt.Errorf("%w: --format is needed: %w", errUsage, err)
	}
	return nil
}

// run passes the file to work and prints the result.
func (in *fileImport) run(
	ctx context.Context, work func(*store.Store, io.Reader, store.ImportOptions) (summary string, err error),
) (err error) {
	file, size, err := in.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return withSchema(ctx, in.cfg, func(s *store.Store) error {
		bar := newProgress(in.process.stderr)
		defer bar.clear()
		source := &countingReader{Reader: file, onRead: func(n int64) { bar.show("reading", n, size) }}
		summary, err := work(s, source, store.ImportOptions{
			LockTime: in.lockTime,
			Progress: func(done, total int) { bar.show("writing", int64(done), int64(total)) },
		})
		bar.clear()
		if importErr := (*store.ImportError)(nil); errors.As(err, &importErr) {
			return in.printProblems(importErr)
		}
		if err != nil {
			return err
		}
		if in.dryRun {
			summary += "; dry run: nothing was written"
		}
		_, err = fmt.Fprintln(in.process.stdout, summary)
		return err
	})
}

// open returns the file and its size, or 0 when the size is unknown.
func (in *fileImport) open(ctx context.Context) (io.ReadCloser, int64, error) {
	if in.path == "-" {
		return io.NopCloser(interruptible(ctx, in.process.stdin)), 0, nil
	}
	file, err := os.Open(in.path)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	if !info.Mode().IsRegular() {
		return file, 0, nil
	}
	return file, info.Size(), nil
}

// printProblems prints the problems of the rows, and returns the error that counts them.
func (in *fileImport) printProblems(e *store.ImportError) error {
	for _, row := range e.Rows {
		_, _ = fmt.Fprintln(in.process.stderr, row.Error())
	}
	if more := e.Total - len(e.Rows); more > 0 {
		_, _ = fmt.Fprintf(in.process.stderr, "and %d more\n", more)
	}
	plural := "s"
	if e.Total == 1 {
		plural = ""
	}
	return fmt.Errorf("%s: %d error%s, nothing was written", in.path, e.Total, plural)
}
