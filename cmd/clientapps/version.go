package main

import (
	"cmp"
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version and commit are set by the linker (make build, deploy/Dockerfile). When they are empty, the build info is used.
var version, commit string

// programVersion returns the version set by the linker, or the module's version from the build info.
func programVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return cmp.Or(version, info.Main.Version, "dev")
	}
	return cmp.Or(version, "dev")
}

// programCommit returns the commit that the program was built from, or "unknown".
func programCommit() string {
	revision, modified := commit, ""
	if info, ok := debug.ReadBuildInfo(); ok && revision == "" {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				revision = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				modified = "+changes"
			}
		}
	}
	return cmp.Or(revision, "unknown") + modified
}

// versionCommand prints the version, the commit, and the Go version of the build.
func (p *process) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print version, commit and Go version",
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkArguments(c, args); err != nil {
				return fmt.Errorf("%w: %w", errUsage, err)
			}
			return p.printVersion()
		},
	}
}

func (p *process) printVersion() error {
	goVersion := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		goVersion = info.GoVersion
	}
	_, err := fmt.Fprintf(p.stdout, "clientapps %s\ncommit %s\n%s\n", programVersion(), programCommit(), goVersion)
	return err
}
