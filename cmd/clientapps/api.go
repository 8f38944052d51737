package main

import (
	"context"
	"io"
	"os"
	"slices"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/clientapps/clientapps/operations"
	"github.com/clientapps/clientapps/server/schemas"
	"github.com/clientapps/clientapps/shell"
)

// readOperations reads the operations of the contract once.
var readOperations = sync.OnceValues(func() (*operations.Document, error) {
	doc, err := schemas.Contract()
	if err != nil {
		return nil, err
	}
	return operations.New(doc)
})

// apiCommand returns the command that calls the operations of the contract. Its subcommands are made only for a command line that
// names it, since that takes longer than most other commands do.
func (p *process) apiCommand(ctx context.Context) (*cobra.Command, error) {
	cfg := shell.Config{
		Contract: &operations.Document{}, Environ: p.environ, Stdin: p.stdin, Stdout: p.stdout, Stderr: p.stderr,
		Width: terminalWidth(p.stdout), Version: programVersion(),
	}
	if p.namesAPI() {
		var err error
		cfg.Args = p.args
		if cfg.Contract, err = readOperations(); err != nil {
			return nil, err
		}
	}
	return shell.Command(ctx, cfg), nil
}

// namesAPI reports whether the command line is one of the command api, its help or its completion.
func (p *process) namesAPI() bool {
	args := p.args
	if len(args) > 1 && slices.Contains([]string{"help", cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd}, args[0]) {
		args = args[1:]
	}
	return len(args) > 0 && args[0] == "api"
}

// terminalWidth returns the columns of a terminal, or 0 if w is none.
func terminalWidth(w io.Writer) int {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil || width <= 0 {
		return 80
	}
	return width
}
