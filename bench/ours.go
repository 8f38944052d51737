package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
)

// wanted are settings that matter to a measurement, where the checkout has them: the limit on requests does its work, but
// is as high as it goes, and the metrics are on, on a listener of their own.
var wanted = []struct{ flag, value string }{
	{"rate-limit", "100000"}, {"rate-burst", "100000"}, {"metrics-addr", "127.0.0.1:0"},
}

// serveOurs starts our server, or a variant of it.
func (l *lab) serveOurs(ctx context.Context, c *contender, binary, url string) error {
	help, err := exec.CommandContext(ctx, l.path(binary), "serve", "--help").Output() //nolint:gosec // built by us
	if err != nil {
		return fmt.Errorf("%s serve --help: %w", binary, err)
	}
	words := []string{l.path(binary), "serve", "--migrate=false", "--addr", addrOf, "--database-url", url}
	return l.serve(ctx, c, "/readyz", append(words, settings(string(help))...)...)
}

// settings are those that the help of a server knows.
func settings(help string) (words []string) {
	for _, s := range wanted {
		if regexp.MustCompile(`(?m)^\s*--?` + s.flag + `\s`).MatchString(help) {
			words = append(words, "--"+s.flag, s.value)
		}
	}
	return words
}
