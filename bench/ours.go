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
func (l *harness) serveOurs(ctx context.Context, c *contender, binary, url string, flags ...string) error {
	help, err := exec.CommandContext(ctx, l.path(binary), "serve", "--help").Output() //nolint:gosec // built by us
	if err != nil {
		return fmt.Errorf("%s serve --help: %w", binary, err)
	}
	words := []string{l.path(binary), "serve", "--migrate=false", "--addr", addrOf, "--database-url", url}
	return l.serve(ctx, c, "/readyz", slices.Concat(words, settings(string(help)), flags)...)
}

// settings returns the flags of benchSettings that the help of a server mentions.
func settings(help string) (words []string) {
	for _, s := range benchSettings {
		if regexp.MustCompile(`(?m)^\s*--?` + s.flag + `\s`).MatchString(help) {
			words = append(words, "--"+s.flag, s.value)
		}
	}
	return words
}
