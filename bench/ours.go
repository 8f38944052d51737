package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
)

// benchSettings are settings for a measurement, if the checkout has them. The rate limiter is on with its highest limit, and metrics are
// on.
var benchSettings = []struct{ flag, value string }{
	{"rate-limit", "100000"}, {"rate-burst", "100000"}, {"metrics-addr", "127.0.0.1:0"},
}

// serveOurs starts our server, or a variant of it.
func (h *harness) serveOurs(ctx context.Context, c *contender, binary, url string, flags ...string) error {
	help, err := exec.CommandContext(ctx, h.path(binary), "serve", "--help").Output() //nolint:gosec // built by us
	if err != nil {
		return fmt.Errorf("%s serve --help: %w", binary, err)
	}
	command := []string{h.path(binary), "serve", "--migrate=false", "--addr", addrPlaceholder, "--database-url", url}
	return h.serve(ctx, c, "/readyz", slices.Concat(command, settings(string(help)), flags)...)
}

// settings returns the flags of benchSettings that the help of a server mentions.
func settings(help string) (flags []string) {
	for _, s := range benchSettings {
		if regexp.MustCompile(`(?m)^\s*--?` + s.flag + `\s`).MatchString(help) {
			flags = append(flags, "--"+s.flag, s.value)
		}
	}
	return flags
}
