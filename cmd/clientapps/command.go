package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/clientapps/clientapps/shell"
	"github.com/clientapps/clientapps/store"
)

// The groups of commands in the help.
const (
	groupServer   = "server"
	groupClient   = "client"
	groupData     = "data"
	groupDatabase = "database"
	groupOther    = "other"
)

// execute runs the command named by the arguments.
func (p *process) execute(ctx context.Context) error {
	root := &cobra.Command{
		Use: "clientapps", Short: "Serve the app-management API and administer its database",
		SilenceErrors: true, SilenceUsage: true, Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			return errNoCommand(c, args[0])
		},
		SuggestionsMinimumDistance: 2,
	}
	root.AddGroup(
		&cobra.Group{ID: groupServer, Title: "The server:"}, &cobra.Group{ID: groupClient, Title: "A client of the server:"},
		&cobra.Group{ID: groupData, Title: "Clients, tokens and imports:"},
		&cobra.Group{ID: groupDatabase, Title: "The database:"}, &cobra.Group{ID: groupOther, Title: "Other commands:"},
	)
	root.SetHelpCommandGroupID(groupOther)
	root.SetCompletionCommandGroupID(groupOther)
	root.SetFlagErrorFunc(flagError)
	api, err := p.apiCommand(ctx)
	if err != nil {
		return err
	}
	addTo(root, groupServer, p.serveCommand(), p.healthCommand())
	addTo(root, groupClient, api)
	addTo(root, groupData,
		parent("client", "Create, list, suspend, activate and delete clients", p.clientCreateCommand(), p.clientListCommand(),
			p.clientSuspendCommand(), p.clientActivateCommand(), p.clientDeleteCommand()),
		parent("token", "Create, list, rotate and revoke API tokens",
			p.tokenCreateCommand(), p.tokenListCommand(), p.tokenRotateCommand(), p.tokenRevokeCommand()),
		parent("import", "Import the catalog, or the apps of a client, from a file", p.importCatalogCommand(), p.importAppsCommand()))
	addTo(root, groupDatabase,
		parent("migrate", "Migrate the schema to this program's version, or show both versions", p.migrateUpCommand(), p.migrateStatusCommand()),
		p.backupCommand(),
		parent("history", "Prune the history of changes, or make all cursors of it expire", p.historyPruneCommand(), p.historyRenewCommand()))
	addTo(root, groupOther, p.versionCommand())
	args := append([]string{}, p.args...) // not nil: cobra would take os.Args
	if p.namesAPI() {
		args = shell.AddTrue(root, args)
	}
	root.SetArgs(args)
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	return shell.MissingFlags(root.ExecuteContext(ctx))
}

// commandActor returns the author of what a command changes, as the history names it.
func commandActor(command string) store.Actor {
	name := "clientapps " + command
	return store.Actor{
		ID: uuid.NewSHA1(uuid.NameSpaceURL, []byte("clientapps:actor/"+name)), Name: name, RequestID: uuid.NewString(),
	}
}

func addTo(root *cobra.Command, group string, commands ...*cobra.Command) {
	for _, c := range commands {
		c.GroupID = group
	}
	root.AddCommand(commands...)
}

// parent returns a command that only has subcommands.
func parent(name, short string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: name, Short: short, Args: cobra.ArbitraryArgs, SuggestionsMinimumDistance: 2}
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("%w: %s needs a command; see %s --help", errUsage, c.CommandPath(), c.CommandPath())
		}
		return errNoCommand(c, args[0])
	}
	c.AddCommand(commands...)
	return c
}

func errNoCommand(c *cobra.Command, name string) error {
	hint := "see " + c.CommandPath() + " --help"
	if like := c.SuggestionsFor(name); len(like) > 0 {
		hint = "did you mean " + strings.Join(like, " or ") + "?"
	}
	return fmt.Errorf("%w: %s has no command %q; %s", errUsage, c.CommandPath(), name, hint)
}

// flagError adds the new name of a renamed flag.
func flagError(c *cobra.Command, err error) error {
	if unknown := (*pflag.NotExistError)(nil); errors.As(err, &unknown) {
		if now, ok := renamedFlags[unknown.GetSpecifiedName()]; ok {
			return fmt.Errorf("%w: --%s is --%s now", errUsage, unknown.GetSpecifiedName(), now)
		}
	}
	return fmt.Errorf("%w: %w; see %s --help", errUsage, err, c.CommandPath())
}

// command returns a command with the settings of its kind as flags. use has its name and, in capitals, its arguments.
func (p *process) command(use, short string, kind commandKind, run func(ctx context.Context, cfg Config, args []string) error) *cobra.Command {
	flagValues := map[string]string{}
	c := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs}
	for _, s := range settings() {
		if s.commands()&kind == 0 {
			continue
		}
		flag := c.Flags().VarPF(settingFlag{setting: s, flagValues: flagValues}, s.flag, "", s.help+" ["+s.env+"]")
		if s.boolean() {
			flag.NoOptDefVal = "true"
		}
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		// A wrong number of arguments is reported together with wrong settings.
		cfg, err := loadConfig(p.environ, flagValues, checkArguments(c, args))
		if err != nil {
			return err
		}
		return run(c.Context(), cfg, args)
	}
	return c
}

func checkArguments(c *cobra.Command, args []string) error {
	wanted := strings.Fields(c.Use)[1:]
	if len(args) == len(wanted) {
		return nil
	}
	if len(wanted) == 0 {
		return fmt.Errorf("%s takes no arguments, but was given %q", c.CommandPath(), args)
	}
	return fmt.Errorf("%s takes %s, but was given %d arguments", c.CommandPath(), strings.Join(wanted, " "), len(args))
}
