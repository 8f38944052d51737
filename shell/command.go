// Package shell makes a command for the shell from an OpenAPI document: one subcommand for each operation, with its flags, its help,
// its bounds and its examples. It knows no operation by name.
package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/clientapps/clientapps/operations"
)

// ErrUsage marks errors of the command line or the environment. Nothing was sent.
var ErrUsage = errors.New("usage")

// Config is what the command has from its process.
type Config struct {
	Contract       *operations.Document // of the program; --spec replaces it
	Args           []string             // of the process, without its name: --spec must be known before the commands are made
	Environ        []string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Width          int // columns of the terminal that Stdout is; 0: it is not a terminal
	Version        string
}

// shell is the command and its common flags.
type shell struct {
	Config

	doc      *operations.Document
	specBase string // the URL of --spec, which relative URLs of servers in it are relative to
	flags    commonFlags
}

// commonFlags are the flags of every operation.
type commonFlags struct {
	url, token, spec, output, body, contentType string
	verbose                                     bool
	retries                                     int
}

// Command returns the command "api".
func Command(ctx context.Context, cfg Config) *cobra.Command {
	s := &shell{Config: cfg, doc: cfg.Contract}
	c := &cobra.Command{
		Use: "api OPERATION", Short: "Call an operation of a server: a client made from the contract",
		Long: "Calls an operation of a running server. The operations, their flags and what these accept come from the contract.\n\n" +
			"The server is --url or CLIENTAPPS_URL, the token --token or CLIENTAPPS_TOKEN; @FILE reads it from a file.\n" +
			"The exit code is 0 when the operation is done, 1 when it is refused or fails, and 2 for wrong usage.",
		Args: cobra.ArbitraryArgs, SuggestionsMinimumDistance: 2,
	}
	s.addCommonFlags(c.PersistentFlags())
	setUsage(c, s.Width)
	specErr := s.loadSpec(ctx)
	c.RunE = func(c *cobra.Command, args []string) error {
		if specErr != nil {
			return specErr
		}
		if len(args) == 0 {
			return c.Help()
		}
		hint := "see " + c.CommandPath() + " --help"
		if like := c.SuggestionsFor(args[0]); len(like) > 0 {
			hint = "did you mean " + strings.Join(like, " or ") + "?"
		}
		return fmt.Errorf("%w: there is no operation %q; %s", ErrUsage, args[0], hint)
	}
	if specErr != nil {
		c.FParseErrWhitelist.UnknownFlags = true // the operations are unknown, so their flags are too
		return c
	}
	for _, tag := range s.doc.Tags {
		c.AddGroup(&cobra.Group{ID: tag, Title: tag + ":"})
	}
	for _, op := range s.doc.Operations {
		c.AddCommand(s.operationCommand(c, op))
	}
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	for _, name := range []string{"url", "token", "retries"} {
		_ = c.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	return c
}

func (s *shell) addCommonFlags(flags *pflag.FlagSet) {
	flags.SortFlags = false
	f := &s.flags
	flags.StringVar(&f.url, "url", "", "`URL` of the server [CLIENTAPPS_URL] (default "+defaultURL+")")
	flags.StringVar(&f.token, "token", "", "API `token`, or @FILE to read it from a file [CLIENTAPPS_TOKEN]")
	flags.StringVarP(&f.output, "output", "o", "", "`format`: json, ndjson, csv or table (default table on a terminal, json elsewhere)")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "show requests and answers on standard error, without the token")
	flags.IntVar(&f.retries, "retries", 4, "`number` of times to repeat a request that is answered 429 or 503, 0 to 20")
	flags.StringVar(&f.spec, "spec", "", "`file` or URL of another OpenAPI document, in JSON or YAML")
}

// operationCommand returns the command of one operation.
func (s *shell) operationCommand(parent *cobra.Command, op *operations.Operation) *cobra.Command {
	c := &cobra.Command{
		Use: kebabCase(op.ID), Short: op.Summary, Long: strings.TrimSpace(op.Method + " " + op.Path + "\n\n" + op.Description),
		Aliases: []string{op.ID}, Args: cobra.ArbitraryArgs, DisableFlagsInUseLine: true,
	}
	c.Use += " [flags]"
	if op.Deprecated {
		c.Short += " (deprecated)"
	}
	if parent.ContainsGroup(op.Tag) {
		c.GroupID = op.Tag
	}
	values, body := op.Demo()
	c.Example = "  " + CommandLine(op, values, body)
	call := &call{shell: s, op: op, arguments: map[string]*argumentFlag{}}
	call.addFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("%w: %s takes flags alone, but was given %q; see %s --help", ErrUsage, c.CommandPath(), args[0], c.CommandPath())
		}
		return call.run(c.Context())
	}
	return c
}

// AddTrue returns the arguments with =true after each flag that is a boolean of the contract and stands alone. Such flags may have a
// value, which the library for flags does not support.
func AddTrue(root *cobra.Command, args []string) []string {
	c, _, err := root.Find(args)
	if err != nil {
		return args
	}
	args = slices.Clone(args)
	for i, arg := range args {
		name, isFlag := strings.CutPrefix(arg, "--")
		flag := c.Flags().Lookup(name)
		if !isFlag || flag == nil {
			continue
		}
		value, ok := flag.Value.(*argumentFlag)
		if !ok || !value.boolean() {
			continue
		}
		if last := i == len(args)-1; last || strings.HasPrefix(args[i+1], "-") {
			args[i] += "=true"
		}
	}
	return args
}

// MissingFlags returns the usage error for an error of cobra that says which required flags are missing, and any other error as it is.
func MissingFlags(err error) error {
	if err != nil && strings.HasPrefix(err.Error(), "required flag(s) ") {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return err
}

// kebabCase returns the name of an operation or of an argument on the command line: updateApp is update-app, license_count
// license-count.
func kebabCase(name string) string {
	var b strings.Builder
	for i, c := range name {
		switch {
		case c == '_' || c == '.' || c == ' ':
			b.WriteByte('-')
		case unicode.IsUpper(c):
			if i > 0 {
				b.WriteByte('-')
			}
			b.WriteRune(unicode.ToLower(c))
		default:
			b.WriteRune(c)
		}
	}
	return strings.ReplaceAll(b.String(), "--", "-")
}

// setUsage breaks the lines of flags at the terminal's width.
func setUsage(c *cobra.Command, width int) {
	if width < 40 {
		width = 100
	}
	lines := fmt.Sprintf("FlagUsagesWrapped %d", width)
	c.SetUsageTemplate(strings.ReplaceAll(c.UsageTemplate(), "FlagUsages", lines))
}
