package main

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
)

// version and commit are stamped by the linker (make build, deploy/Dockerfile). What is not comes from the build itself.
var version, commit string

// programVersion is what the program calls itself: the stamped version, else the one that the module was built at.
func programVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return cmp.Or(version, info.Main.Version, "dev")
	}
	return cmp.Or(version, "dev")
}

// programCommit is the revision that the program was built of, "unknown" where the build knew none.
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

// printVersion says which program this is: version, commit, and the Go that built it.
func printVersion(_ context.Context, p *process, _ []string) error {
	goVersion := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		goVersion = info.GoVersion
	}
	_, err := fmt.Fprintf(p.stdout, "clientapps %s\ncommit %s\n%s\n", programVersion(), programCommit(), goVersion)
	return err
}
