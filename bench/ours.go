package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
)

// wanted are settings of our server that matter to a measurement, where this checkout has them: nobody is refused for
// asking often, and the metrics are on, on a listener of their own.
var wanted = []struct{ flag, value string }{{"rate-limit", "0"}, {"metrics-addr", "127.0.0.1:0"}}

// serveOurs starts our server, or a variant of it.
func (l *lab) serveOurs(ctx context.Context, c *contender, binary, url string) error {
	words := []string{l.path(binary), "serve", "--migrate=false", "--addr", addrOf, "--database-url", url}
	help, err := exec.CommandContext(ctx, l.path(binary), "serve", "--help").Output() //nolint:gosec // built by us
	if err != nil {
		return fmt.Errorf("%s serve --help: %w", binary, err)
	}
	for _, setting := range wanted {
		if regexp.MustCompile(`(?m)^\s+--?` + setting.flag + `\b`).Match(help) {
			words = append(words, "--"+setting.flag, setting.value)
		}
	}
	return l.serve(ctx, c, "/readyz", words...)
}
